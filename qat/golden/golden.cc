#include "lutra/qat/golden.h"

#include <algorithm>
#include <string_view>

#include "qat/golden/cases.h"

namespace lutra::qat {
namespace {

struct Kind {
  std::string_view prefix;  // of the file's name
  void (*replay)(const GoldenFile&, std::vector<GoldenResult>&);
};

constexpr Kind kKinds[] = {
    {"quant_", ReplayQuantizers},         {"prox", ReplayProxMaps},
    {"trajectories", ReplayTrajectories}, {"mlp", ReplayTraining},
    {"convert", ReplayConversion},        {"fakequant", ReplayFakeQuant},

};
// Inputs of other files; it has no cases of its own.
constexpr std::string_view kInputs = "inputs.safetensors";

void ReplayFile(const std::filesystem::path& path,
                std::vector<GoldenResult>& results) {
  const GoldenFile file = GoldenFile::Open(path);
  const std::string name = file.name();
  if (name == kInputs) return;
  for (const Kind& kind : kKinds) {
    if (!name.starts_with(kind.prefix)) continue;
    kind.replay(file, results);
    return;
  }
  RunCase(
      file, "all",
      [](Comparison&) { throw Error("no golden file of that name is known"); },
      results);
}

}  // namespace

std::vector<GoldenResult> ReplayGolden(const std::filesystem::path& folder) {
  std::error_code error;
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".safetensors") {
      paths.push_back(entry.path());
    }
  }
  if (error) throw Error::InFile(folder.string(), error.message());
  if (paths.empty()) {
    throw Error::InFile(folder.string(), "has no golden (.safetensors) files");
  }
  std::sort(paths.begin(), paths.end());
  std::vector<GoldenResult> results;
  for (const auto& path : paths) ReplayFile(path, results);
  return results;
}

}  // namespace lutra::qat
