#include <algorithm>
#include <cmath>
#include <exception>
#include <string>

#include "tests/golden_replay/kind.h"
#include "tests/golden_replay/train/cases.h"

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

bool HasOperatorCases(const std::filesystem::path& path) {
  try {
    const GoldenFile file = GoldenFile::Open(path);
    return std::ranges::any_of(CasesOf(file), IsOperatorCase);
  } catch (const std::exception&) {
    return false;  // damaged; others of the folder tell
  }
}

void ReplayFile(const std::filesystem::path& path, Sink& sink) {
  const std::string name = path.filename().string();
  try {
    const GoldenFile file = GoldenFile::Open(path);
    for (const json& c : CasesOf(file)) {
      if (!IsOperatorCase(c)) continue;
      const TrainingCase training{file, c};
      RunCase(sink, name + " " + c.at("prefix").get<std::string>(),
              [&](Comparison& comparison) {
                const LossReplay loss = FindLoss(training.Op());
                if (loss != nullptr) {
                  loss(training, comparison);
                } else {
                  ReplayOperator(training, comparison);
                }
              });
    }
  } catch (const std::exception& error) {
    Fail(sink, name, error.what());
  }
}

bool Recognise(const std::filesystem::path& folder) {
  return std::ranges::any_of(SafetensorsIn(folder), HasOperatorCases);
}

void Replay(const std::filesystem::path& folder, Sink& sink) {
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

const Kind kTraining = {"train", Recognise, Replay};

}  // namespace lutra::golden
