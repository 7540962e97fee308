// Quantized checkpoints: every row of every weight by its hash, as it is read
// and as lutra holds it, and what the imported model says.

#include <algorithm>
#include <bit>
#include <cmath>
#include <exception>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/base/half.h"
#include "lutra/packer/import.h"
#include "packer/import/checkpoint.h"
#include "packer/import/source.h"
#include "packer/import/stored/group_order.h"
#include "packer/import/stored/holding.h"
#include "packer/lattice/rounding.h"
#include "packer/weights/row_source.h"
#include "tests/golden_replay/golden_file.h"
#include "tests/golden_replay/kind.h"
#include "tests/golden_replay/language_outputs.h"
#include "tests/golden_replay/unpack.h"
#include "tests/temp_dir.h"

namespace lutra::golden {
namespace {

namespace fs = std::filesystem;
using packer::Checkpoint;
using packer::StoredWeight;

constexpr const char* kRecord = "golden.safetensors";
constexpr const char* kTruth = "dequantized.safetensors";
constexpr std::string_view kRows = "rows/";
constexpr int32_t kPadding = 0;
constexpr double kTolerance = 2e-4;  // of logits, whose deviation is about 1
// Of weights on a grid, which had been rounded to 16 bits where logits were
// recorded: half a step of a bfloat16 in every weight moves them by so much.
constexpr double kRecoveredTolerance = 0.1;
// Forms that are not exact, relative to the row's largest value: offsets are
// rounded, tables of float levels are rounded to int8.
constexpr float kOffsetError = 1e-6f;
constexpr float kTableError = 1.0f / 127;

// FNV-1a over little-endian bytes, -0 as +0.
uint32_t Hash(std::span<const float> row) {
  uint32_t hash = 0x811C9DC5;
  for (const float value : row) {
    const auto bits = std::bit_cast<uint32_t>(value == 0 ? 0.0f : value);
    for (int shift = 0; shift < 32; shift += 8) {
      hash = (hash ^ ((bits >> shift) & 0xFF)) * 0x01000193;
    }
  }
  return hash;
}

std::vector<int32_t> Hashes(std::span<const float> values, size_t rows) {
  std::vector<int32_t> hashes;
  const size_t columns = rows == 0 ? 0 : values.size() / rows;
  for (size_t r = 0; r < rows; ++r) {
    hashes.push_back(
        static_cast<int32_t>(Hash(values.subspan(r * columns, columns))));
  }
  return hashes;
}

std::vector<int32_t> Recorded(const GoldenFile& truth,
                              const std::string& name) {
  const auto hashes = truth.Load<uint32_t>(std::string(kRows) + name);
  return {hashes.begin(), hashes.end()};
}

std::vector<std::string> WeightNames(const GoldenFile& truth) {
  std::vector<std::string> names;
  for (const TensorView& tensor : truth.file().tensors()) {
    if (tensor.name.starts_with(kRows)) {
      names.push_back(tensor.name.substr(kRows.size()));
    }
  }
  return names;
}

// [E, a, b] as [E, b, a].
std::vector<float> Transposed(std::span<const float> values, size_t experts,
                              size_t columns) {
  std::vector<float> result(values.size());
  const size_t rows = values.size() / experts / columns;
  for (size_t e = 0; e < experts; ++e) {
    for (size_t r = 0; r < rows; ++r) {
      for (size_t c = 0; c < columns; ++c) {
        result[(e * columns + c) * rows + r] =
            values[(e * rows + r) * columns + c];
      }
    }
  }
  return result;
}

// The values of a checkpoint's tensor as the truth has them.
struct Values {
  std::vector<float> source;  // by the format's formula
  std::vector<float> held;    // as a LUT matrix; empty for floats
  bool exact = true;
  float error = 0;  // of forms that are not exact
};

std::vector<float> Floats(const TensorView& view) {
  std::vector<float> values(view.ElementCount());
  packer::ToFloats(view.dtype, view.data, values);
  return values;
}

Values Read(const Checkpoint& checkpoint, const std::string& name) {
  Values values;
  if (const TensorView* view = checkpoint.Find(name)) {
    values.source = Floats(*view);
    return values;
  }
  const auto found = checkpoint.stored().find(name);
  if (found == checkpoint.stored().end()) {
    throw Error("'" + name + "' is not in the checkpoint");
  }
  const StoredWeight& weight = found->second;
  packer::StoredRows rows;
  weight.read(0, weight.rows, rows);
  values.source.resize(weight.rows * weight.columns);
  weight.Values(rows, weight.rows, values.source);
  // Columns in activation order are held by their groups.
  std::vector<uint32_t> order;
  const bool ordered = !weight.group_of_column.empty();
  const StoredWeight sorted =
      ordered ? packer::SortedByGroup(weight, order) : weight;
  const packer::Holding holding = packer::Hold(sorted);
  values.held = Unpack(sorted, holding);
  if (ordered) {
    const std::vector<float> held = values.held;
    for (size_t i = 0; i < held.size(); ++i) {
      const size_t column = i % weight.columns;
      values.held[i - column + order[column]] = held[i];
    }
  }
  values.exact = holding.exact;
  const bool rounded = weight.zero == packer::ZeroRule::kNone;
  values.error = rounded ? kTableError : kOffsetError;
  return values;
}

// Whether the truth's rule leaves the last bit of a scale open.
bool IsOpen(const GoldenFile& truth) {
  return truth.description().dump().find("summation order") !=
         std::string::npos;
}

// Whether the weight is of experts whose matrices are recorded transposed.
bool AreExperts(const GoldenFile& truth, const std::string& name) {
  return name.find(".experts.") != std::string::npos &&
         truth.description().dump().find("[expert, input, output]") !=
             std::string::npos;
}

void CompareNear(const std::string& what, std::span<const float> got,
                 std::span<const float> expected, size_t columns, float error,
                 Comparison& comparison) {
  std::vector<double> magnitude(expected.size());
  for (size_t i = 0; i < expected.size(); i += columns) {
    float largest = 0;
    for (size_t c = 0; c < columns; ++c) {
      largest = std::max(largest, std::abs(expected[i + c]));
    }
    std::fill_n(magnitude.begin() + static_cast<std::ptrdiff_t>(i), columns,
                largest);
  }
  comparison.Within(what, got, expected, magnitude, error);
}

void CompareWeight(const Checkpoint& checkpoint, const GoldenFile& truth,
                   const std::string& name, Comparison& comparison) {
  const std::vector<int32_t> expected = Recorded(truth, name);
  Values values = Read(checkpoint, name);
  if (expected.empty() || values.source.size() % expected.size() != 0) {
    throw Error("'" + name + "' is of another shape than the recorded one");
  }
  const size_t columns = values.source.size() / expected.size();
  const auto stored = checkpoint.stored().find(name);
  if (stored != checkpoint.stored().end() && AreExperts(truth, name)) {
    const size_t experts =
        values.source.size() / stored->second.columns / columns;
    values.source = Transposed(values.source, experts, stored->second.columns);
    if (!values.held.empty()) {
      values.held = Transposed(values.held, experts, stored->second.columns);
    }
  }
  const std::vector<int32_t> got = Hashes(values.source, expected.size());
  if (got != expected && IsOpen(truth)) {
    const auto head = truth.Load<float>("head/" + name);
    CompareNear("values", std::span(values.source).first(head.size()), head,
                columns, 2.5e-7f, comparison);
    comparison.Note("the last bit of a scale is open");
  } else {
    comparison.Exact("hashes of rows", got, expected);
  }
  if (values.held.empty()) return;
  if (values.exact) {
    comparison.Exact("rows as held", values.held, values.source);
  } else {
    CompareNear("rows as held", values.held, values.source, columns,
                values.error, comparison);
  }
}

// Weights of floats that were found on a grid, once they are rounded to their
// type again.
void CompareRecovered(const Model& model, const Checkpoint& checkpoint,
                      const packer::ImportReport& report,
                      const GoldenFile& truth, Comparison& comparison) {
  for (const packer::ImportedWeight& weight : report.weights) {
    const auto rows = packer::RowSource::Of(model, weight.name);
    std::vector<float> scratch;
    const auto all = rows.Rows(0, rows.rows(), scratch);
    std::vector<float> values(all.begin(), all.end());
    const DType dtype = checkpoint.Get(weight.origin).view.dtype;
    for (float& value : values) value = packer::RoundTo(dtype, value);
    std::vector<int32_t> got = Hashes(values, rows.rows());
    std::vector<int32_t> expected = Recorded(truth, weight.origin);
    if (weight.reordered) {
      std::sort(got.begin(), got.end());
      std::sort(expected.begin(), expected.end());
    }
    comparison.Exact(weight.name, got, expected);
  }
}

// The imported model's weights under the names they had, row by row. Rows that
// a rotary embedding wants in another order may be in any.
void CompareImported(const Model& model, const packer::ImportReport& report,
                     const GoldenFile& truth, Comparison& comparison) {
  for (const packer::ImportedWeight& weight : report.weights) {
    if (!weight.exact || weight.gathered || IsOpen(truth)) continue;
    if (!truth.Has(std::string(kRows) + weight.origin)) continue;
    // Those are recorded transposed; their logits tell.
    if (AreExperts(truth, weight.origin)) continue;
    const auto rows = packer::RowSource::Of(model, weight.name);
    std::vector<float> scratch;
    std::vector<int32_t> got =
        Hashes(rows.Rows(0, rows.rows(), scratch), rows.rows());
    std::vector<int32_t> expected = Recorded(truth, weight.origin);
    if (got.size() != expected.size()) continue;  // a part of it
    if (weight.reordered) {
      std::sort(got.begin(), got.end());
      std::sort(expected.begin(), expected.end());
    }
    comparison.Exact(weight.name, got, expected);
  }
  comparison.Note("weights that are held near or as floats are left out");
}

// The model with rotary frequencies as a program has them that converted its
// model to a 16-bit type: the record does not say which had done so. The file
// `to` may go away: it stays mapped.
std::shared_ptr<const Model> Rotate(const fs::path& from, const fs::path& to,
                                    float (*round)(float)) {
  const auto file = SafetensorsFile::Open(from);
  SafetensorsWriter writer(to, file.metadata(),
                           {file.tensors().begin(), file.tensors().end()});
  for (const TensorView& tensor : file.tensors()) {
    if (!tensor.name.starts_with("lutra.rope")) {
      writer.Write(tensor.name, tensor.data);
      continue;
    }
    std::vector<float> values = Floats(tensor);
    for (float& value : values) value = round(value);
    writer.Write(tensor.name, std::as_bytes(std::span(values)));
  }
  writer.Commit();
  return Model::Load(to);
}

// Of the three, that whose logits are nearest to those recorded.
std::shared_ptr<const Model> Choose(const fs::path& path,
                                    const GoldenFile& record) {
  std::shared_ptr<const Model> best;
  double least = std::numeric_limits<double>::infinity();
  for (float (*round)(float) :
       {+[](float value) { return value; }, RoundToBFloat16, RoundToFloat16}) {
    const fs::path rounded = path.string() + ".rounded";
    const std::shared_ptr<const Model> model = Rotate(path, rounded, round);
    Comparison comparison;
    CompareLogits(model, record.Load<int32_t>("ids_0"),
                  record.Load<float>("logits_0"), kTolerance, comparison);
    const double worst = comparison.Result("", "").worst;
    if (best != nullptr && !(worst < least)) continue;
    least = worst;
    best = model;
  }
  return best;
}

// The file, or the folder if it has a configuration.
fs::path SourceIn(const fs::path& folder) {
  std::error_code ignored;
  if (fs::exists(folder / "config.json", ignored)) return folder;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".gguf") files.push_back(entry.path());
  }
  if (files.empty()) return folder;
  return *std::min_element(files.begin(), files.end());
}

void ReplayModel(const fs::path& source, const GoldenFile& truth,
                 const GoldenFile& record, bool dequantize, Sink& sink) {
  const std::string what = dequantize ? "dequantized" : "packed";
  const TempDir dir;
  packer::ImportOptions options;
  options.source = source;
  options.output = dir / "model.safetensors";
  options.dequantize = dequantize;
  packer::ImportReport report;
  std::shared_ptr<const Model> model;
  try {
    report = packer::ImportModel(options);
    model = Choose(options.output, record);
  } catch (const std::exception& error) {
    Fail(sink, what + " import", error.what());
    return;
  }
  if (!report.weights.empty()) {
    RunCase(sink, what + " weights", [&](Comparison& comparison) {
      CompareImported(*model, report, truth, comparison);
    });
  }
  // Near weights have logits of their own.
  const bool exact = std::all_of(
      report.weights.begin(), report.weights.end(),
      [](const packer::ImportedWeight& weight) { return weight.exact; });
  if (!exact) return;
  for (const char* number : {"0", "1"}) {
    const std::string suffix = std::string("_") + number;
    RunCase(sink, what + " logits" + suffix, [&](Comparison& comparison) {
      CompareLogits(model, record.Load<int32_t>("ids" + suffix),
                    record.Load<float>("logits" + suffix), kTolerance,
                    comparison);
    });
    RunCase(sink, what + " greedy" + suffix, [&](Comparison& comparison) {
      const auto ids = record.Load<int32_t>("ids" + suffix);
      // transformers masked them out when it generated.
      if (std::find(ids.begin(), ids.end(), kPadding) != ids.end()) {
        comparison.Note("the prompt has ids that were taken for padding");
        return;
      }
      CompareGreedy(model, ids, record.Load<int32_t>("greedy" + suffix),
                    2 * kTolerance, comparison);
    });
  }
}

// Of a checkpoint of floats: what comes of looking for grids.
void ReplayRecovered(const fs::path& source, const Checkpoint& checkpoint,
                     const GoldenFile& truth, const GoldenFile& record,
                     Sink& sink) {
  const TempDir dir;
  packer::ImportOptions options;
  options.source = source;
  options.output = dir / "model.safetensors";
  options.recover = true;
  packer::ImportReport report;
  std::shared_ptr<const Model> model;
  try {
    report = packer::ImportModel(options);
    if (report.weights.empty()) return;
    model = Choose(options.output, record);
  } catch (const std::exception& error) {
    Fail(sink, "recovered import", error.what());
    return;
  }
  RunCase(sink, "recovered weights", [&](Comparison& comparison) {
    CompareRecovered(*model, checkpoint, report, truth, comparison);
  });
  for (const char* number : {"0", "1"}) {
    const std::string suffix = std::string("_") + number;
    RunCase(sink, "recovered logits" + suffix, [&](Comparison& comparison) {
      CompareLogits(model, record.Load<int32_t>("ids" + suffix),
                    record.Load<float>("logits" + suffix), kRecoveredTolerance,
                    comparison);
    });
  }
}

// Whether there is no model around the weights, and so no record of one.
bool AreWeightsOnly(const GoldenFile& truth) {
  const auto& description = truth.description();
  return description.is_object() && description.value("weights_only", false);
}

bool Recognise(const fs::path& folder) {
  std::error_code ignored;
  return fs::exists(folder / kTruth, ignored);
}

void Replay(const fs::path& folder, Sink& sink) {
  std::optional<GoldenFile> truth;
  std::optional<GoldenFile> record;
  std::optional<Checkpoint> checkpoint;
  const fs::path source = SourceIn(folder);
  try {
    truth = GoldenFile::Open(folder / kTruth);
    if (!AreWeightsOnly(*truth)) record = GoldenFile::Open(folder / kRecord);
    checkpoint = packer::OpenCheckpoint(source);
  } catch (const std::exception& error) {
    Fail(sink, "source", error.what());
    return;
  }
  for (const std::string& name : WeightNames(*truth)) {
    RunCase(sink, name, [&](Comparison& comparison) {
      CompareWeight(*checkpoint, *truth, name, comparison);
    });
  }
  if (!record) return;
  for (const bool dequantize : {false, true}) {
    ReplayModel(source, *truth, *record, dequantize, sink);
  }
  if (checkpoint->stored().empty()) {
    ReplayRecovered(source, *checkpoint, *truth, *record, sink);
  }
}

}  // namespace

const Kind kCheckpoints = {"checkpoints", Recognise, Replay};

}  // namespace lutra::golden
