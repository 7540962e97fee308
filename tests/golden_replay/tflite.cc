// Files of TensorFlow Lite with what the LiteRT interpreter gives.

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "lutra/packer/import.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/session.h"
#include "runtime/base/json.h"
#include "runtime/base/mapped_file.h"
#include "tests/golden_replay/kind.h"
#include "tests/golden_replay/npy_array.h"
#include "tests/temp_dir.h"

namespace lutra::golden {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr const char* kCases = "cases.json";
// Its kernels differ from each other by some steps of the last activation.
constexpr double kSteps = 2;
constexpr double kFloatTolerance = 1e-4;

json ReadCases(const fs::path& folder) {
  const MappedFile file(folder / kCases);
  return ParseJson(file.text(), (folder / kCases).string(), "it").root();
}

// The models lie beside the folder of the vectors: "shared/data/...".
fs::path ModelOf(const fs::path& folder, const json& entry) {
  const fs::path path = entry.at("model").get<std::string>();
  fs::path result = fs::absolute(folder).parent_path().parent_path();
  for (auto part = std::next(path.begin()); part != path.end(); ++part) {
    result /= *part;
  }
  return result;
}

// Whole numbers as what they stand for.
std::vector<float> Numbers(const fs::path& path, const json& description) {
  std::vector<float> numbers = ReadNpyArray(path).floats();
  if (description.at("type") == "float32") return numbers;
  const auto scale = description.at("scale").get<float>();
  const auto zero = description.at("zero_point").get<float>();
  for (float& number : numbers) number = (number - zero) * scale;
  return numbers;
}

void Compare(const fs::path& folder, const json& entry, bool dequantize,
             Comparison& comparison) {
  const fs::path source = ModelOf(folder, entry);
  const TempDir dir;
  packer::ImportOptions options;
  options.source = source;
  options.output = dir / "model.safetensors";
  options.dequantize = dequantize;
  packer::ImportModel(options);
  const auto model = Model::Load(options.output);
  Session session(
      model, {.activations = kernels::ActivationType::kFloat32, .threads = 1});
  const std::string stem = source.stem().string();
  const std::vector<float> x =
      Numbers(folder / (stem + "_in.npy"), entry.at("input"));
  const std::vector<float> expected =
      Numbers(folder / (stem + "_out.npy"), entry.at("output"));
  const size_t rows = x.size() / model->inputs().at(0).ElementCount();
  std::vector<float> y(rows * model->outputs().at(0).ElementCount());
  const void* const in = x.data();
  float* const out = y.data();
  session.Run(rows, {&in, 1}, {&out, 1});
  double differs = 0;
  for (const json& by : entry.at("reference_differs_from")) {
    differs = std::max(differs, by.get<double>());
  }
  const bool floats = entry.at("output").at("type") == "float32";
  double tolerance = std::max(kFloatTolerance, 2 * differs);
  if (!floats) {
    // Half a step for the rounding of numbers to floats.
    tolerance = (kSteps + 0.5) * entry.at("output").at("scale").get<double>();
  }
  comparison.Absolute("outputs", y, expected, tolerance);
}

bool Recognise(const fs::path& folder) {
  std::error_code ignored;
  if (!fs::exists(folder / kCases, ignored)) return false;
  const json cases = ReadCases(folder);
  return cases.is_array() && !cases.empty() && cases[0].contains("model") &&
         cases[0].contains("reference_differs_from");
}

void Replay(const fs::path& folder, Sink& sink) {
  for (const json& entry : ReadCases(folder)) {
    const std::string name = ModelOf(folder, entry).stem().string();
    for (const bool dequantize : {false, true}) {
      RunCase(sink, name + (dequantize ? " dequantized" : ""),
              [&](Comparison& comparison) {
                Compare(folder, entry, dequantize, comparison);
              });
    }
  }
}

}  // namespace

const Kind kTflite = {"tflite", Recognise, Replay};

}  // namespace lutra::golden
