#include <algorithm>
#include <cmath>
#include <exception>
#include <string>

#include "tests/golden_replay/kind.h"
#include "tests/golden_replay/train/cases.h"
#include "tests/golden_replay/train/optimizer_cases.h"
#include "tests/golden_replay/train/run_cases.h"

namespace lutra::golden {
namespace {

using nlohmann::json;

// What a float32 implementation may differ by.
constexpr double kTolerance = 2e-6;

const json& CasesOf(const GoldenFile& file) {
  static const json none = json::array();
  const json& description = file.description();
  return description.is_object() && description.contains("cases")
             ? description["cases"]
             : none;
}

bool IsOperatorCase(const json& c) {
  return c.is_object() && c.contains("op") && c.contains("gradients");
}

bool HasTrainingCases(const std::filesystem::path& path) {
  try {
    const GoldenFile file = GoldenFile::Open(path);
    return std::ranges::any_of(CasesOf(file), [](const json& c) {
      return IsOperatorCase(c) || IsOptimizerCase(c);
    });
  } catch (const std::exception&) {
    return false;  // damaged; others of the folder tell
  }
}

void ReplayCase(const GoldenFile& file, const json& c, Comparison& comparison) {
  if (IsOptimizerCase(c)) return ReplayOptimizerCase(file, c, comparison);
  if (!IsOperatorCase(c)) throw Error("no replay is known for such a case");
  const TrainingCase training{file, c};
  const LossReplay loss = FindLoss(training.Op());
  (loss != nullptr ? loss : ReplayOperator)(training, comparison);
}

void ReplayFile(const std::filesystem::path& path, Sink& sink) {
  const std::string name = path.filename().string();
  try {
    const GoldenFile file = GoldenFile::Open(path);
    for (const json& c : CasesOf(file)) {
      const char* key = c.contains("prefix") ? "prefix" : "name";
      RunCase(sink, name + " " + c.at(key).get<std::string>(),
              [&](Comparison& comparison) { ReplayCase(file, c, comparison); });
    }
    ReplaySchedules(file, name + " ", sink);
  } catch (const std::exception& error) {
    Fail(sink, name, error.what());
  }
}

bool Recognise(const std::filesystem::path& folder) {
  return std::ranges::any_of(SafetensorsIn(folder), HasTrainingCases) ||
         HasRuns(folder);
}

void Replay(const std::filesystem::path& folder, Sink& sink) {
  if (HasRuns(folder)) return ReplayRuns(folder, sink);
  for (const auto& path : SafetensorsIn(folder)) ReplayFile(path, sink);
}

}  // namespace

void TrainingCase::Compare(const std::string& name, std::span<const float> got,
                           Comparison& comparison) const {
  const auto expected = Load<double>(name);
  double magnitude = 0.0;
  for (const double value : expected) {
    magnitude = std::max(magnitude, std::fabs(value));
  }
  if (json.contains("scale") && json["scale"].contains(name)) {
    magnitude = json["scale"][name].get<double>();
  }
  comparison.Within(name, got, expected, magnitude, kTolerance);
}

const Kind kTraining = {"train", Recognise, Replay, /*nests=*/true};

}  // namespace lutra::golden
