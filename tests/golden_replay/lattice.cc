// Hidden grids: which groups of float weights come back, bit for bit, from the
// LUT matrix that recovery makes of them.

#include <algorithm>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "packer/import/recovery.h"
#include "packer/lattice/rounding.h"
#include "runtime/base/json.h"
#include "runtime/base/mapped_file.h"
#include "tests/golden_replay/golden_file.h"
#include "tests/golden_replay/kind.h"
#include "tests/golden_replay/unpack.h"

namespace lutra::golden {
namespace {

namespace fs = std::filesystem;

constexpr const char* kCases = "truth.json";
constexpr const char* kTruth = "truth.safetensors";

using File = std::shared_ptr<const SafetensorsFile>;

// Of `groups` groups per row, those whose weights all come back.
std::vector<uint8_t> Returned(const packer::RawTensor& tensor, size_t groups,
                              Comparison& comparison) {
  const packer::ImportOptions options;
  packer::Recovery recovery(options);
  std::string reason;
  const packer::StoredWeight* weight =
      recovery.Find(tensor, /*transposed=*/false, reason);
  const packer::FloatMatrix matrix = packer::MatrixOf(tensor);
  const size_t rows = matrix.rows.rows();
  const size_t columns = matrix.rows.columns();
  std::vector<uint8_t> returned(rows * groups, 0);
  if (weight == nullptr) {
    comparison.Note(reason);
    return returned;
  }
  comparison.Note(weight->format);
  const std::vector<float> held = Unpack(*weight, packer::Hold(*weight));
  std::vector<float> scratch;
  const auto original = matrix.rows.Rows(0, rows, scratch);
  std::fill(returned.begin(), returned.end(), uint8_t{1});
  const size_t group_size = (columns + groups - 1) / groups;
  for (size_t i = 0; i < held.size(); ++i) {
    if (packer::RoundTo(matrix.dtype, held[i]) == original[i]) continue;
    returned[i / columns * groups + i % columns / group_size] = 0;
  }
  return returned;
}

void ReplayCase(const fs::path& folder, const GoldenFile& truth,
                const std::string& name, const nlohmann::json& entry,
                Comparison& comparison) {
  const std::string place = (folder / kCases).string();
  if (!entry.is_object() || !entry.contains("file") ||
      !entry.contains("tensor") || !entry["file"].is_string() ||
      !entry["tensor"].is_string()) {
    throw Error::InFile(place, "case '" + name + "' names no tensor");
  }
  const auto file = std::make_shared<const SafetensorsFile>(
      SafetensorsFile::Open(folder / entry["file"].get<std::string>()));
  const TensorView& view = file->Get(entry["tensor"].get<std::string>());
  const std::string flags = name + "/lattice";
  const size_t groups = truth.Dimension(flags, 1);
  const auto expected = truth.Load<uint8_t>(flags);
  const auto got = Returned({view, file->path(), file}, groups, comparison);
  comparison.Exact("groups that come back", got, expected);
}

bool Recognise(const fs::path& folder) {
  std::error_code ignored;
  return fs::exists(folder / kCases, ignored) &&
         fs::exists(folder / kTruth, ignored);
}

void Replay(const fs::path& folder, Sink& sink) {
  const MappedFile file(folder / kCases);
  const std::string name = (folder / kCases).string();
  const JsonDocument document = ParseJson(file.text(), name, "truth");
  const GoldenFile truth = GoldenFile::Open(folder / kTruth);
  const auto cases = document.root().find("cases");
  if (cases == document.root().end() || !cases->is_object()) {
    throw Error::InFile(name, "has no cases");
  }
  for (const auto& [key, entry] : cases->items()) {
    RunCase(sink, key, [&, &key = key, &entry = entry](Comparison& comparison) {
      ReplayCase(folder, truth, key, entry, comparison);
    });
  }
}

}  // namespace

const Kind kLattice = {"lattice", Recognise, Replay, /*nests=*/true};

}  // namespace lutra::golden
