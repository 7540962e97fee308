// Graphs of ONNX with inputs and outputs, and files that are to be refused.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lutra/packer/import.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/program.h"
#include "runtime/base/json.h"
#include "runtime/base/mapped_file.h"
#include "tests/golden_replay/kind.h"
#include "tests/golden_replay/npy_array.h"
#include "tests/temp_dir.h"

namespace lutra::golden {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr const char* kModel = "model.onnx";
constexpr const char* kMeta = "meta.json";
constexpr const char* kCases = "cases.json";

// How much slower an unoptimised build, or one with sanitizers, may be.
#if defined(NDEBUG) && !defined(LUTRA_TEST_SANITIZED)
constexpr double kSlower = 1;
#else
constexpr double kSlower = 20;
#endif
constexpr double kMostSeconds = 1;

json ReadJson(const fs::path& path) {
  const MappedFile file(path);
  return ParseJson(file.text(), path.string(), "it").root();
}

struct Imported {
  packer::ImportReport report;
  std::shared_ptr<const Model> model;
};

Imported Import(const fs::path& source, bool dequantize) {
  const TempDir dir;
  packer::ImportOptions options;
  options.source = source;
  options.output = dir / "model.safetensors";
  options.dequantize = dequantize;
  Imported imported;
  imported.report = packer::ImportModel(options);
  imported.model = Model::Load(options.output);  // stays mapped
  return imported;
}

const packer::ImportedArray& ArrayOf(const packer::ImportReport& report,
                                     const std::string& name) {
  for (const packer::ImportedArray& array : report.arrays) {
    if (array.name == name) return array;
  }
  throw Error("the import tells nothing of '" + name + "'");
}

// The sizes of a call: sequences by the row axes that are no steps, each of as
// many steps.
struct Rows {
  std::map<int, size_t> sizes;  // by row axis
  int time = -1;

  size_t Steps() const { return time < 0 ? 1 : sizes.at(time); }
  size_t Sequences() const {
    size_t count = 1;
    for (const auto& [axis, size] : sizes) {
      if (axis != time) count *= size;
    }
    return count;
  }
};

// Calls use(place in the source's array, place in that of a call) for each
// element. `last`: the call has one row for each sequence.
template <typename Use>
void ForEachElement(const packer::ImportedArray& array,
                    const std::vector<size_t>& shape, const Rows& rows,
                    bool last, const Use& use) {
  std::vector<size_t> strides(shape.size(), 0);
  size_t stride = 1;
  for (size_t i = array.order.size(); i-- > 0;) {
    strides[array.order[i]] = stride;
    stride *= shape[array.order[i]];
  }
  std::vector<int> axes;  // the innermost first
  if (rows.time >= 0 && !last) axes.push_back(rows.time);
  for (auto it = rows.sizes.rbegin(); it != rows.sizes.rend(); ++it) {
    if (it->first != rows.time) axes.push_back(it->first);
  }
  for (const int axis : axes) {
    for (size_t d = 0; d < shape.size(); ++d) {
      if (array.rows[d] == axis) strides[d] = stride;
    }
    stride *= rows.sizes.at(axis);
  }
  size_t count = 1;
  for (const size_t size : shape) count *= size;
  for (size_t i = 0; i < count; ++i) {
    size_t rest = i;
    size_t place = 0;
    for (size_t d = shape.size(); d-- > 0;) {
      place += rest % shape[d] * strides[d];
      rest /= shape[d];
    }
    use(i, place);
  }
}

using Buffers = std::vector<std::vector<float>>;

// `inputs` as a call has them. Ids are int32 in the same bytes.
Buffers Run(const Imported& imported, const Rows& rows, const Buffers& inputs) {
  Program program(
      imported.model,
      {.activations = kernels::ActivationType::kFloat32, .threads = 1});
  std::vector<Sequence> sequences;
  for (size_t i = 0; i < rows.Sequences(); ++i) {
    sequences.push_back(program.NewSequence());
  }
  std::vector<Program::Rows> calls;
  for (Sequence& sequence : sequences) {
    calls.push_back({&sequence, rows.Steps()});
  }
  std::vector<const void*> in;
  for (const auto& values : inputs) in.push_back(values.data());
  Buffers outputs;
  std::vector<float*> out;
  for (const ValueInfo& output : imported.model->outputs()) {
    outputs.emplace_back(output.ElementCount() * rows.Sequences() *
                         rows.Steps());
  }
  for (auto& values : outputs) out.push_back(values.data());
  program.Run(calls, in, out);
  return outputs;
}

float AsId(double value) {
  const auto id = static_cast<int32_t>(value);
  float bits;
  std::memcpy(&bits, &id, sizeof(bits));
  return bits;
}

void CompareSet(const fs::path& folder, const std::string& set,
                const json& tolerance, bool dequantize,
                Comparison& comparison) {
  const Imported imported = Import(folder / kModel, dequantize);
  const Model& model = *imported.model;
  Rows rows;
  rows.time = imported.report.time_axis;
  std::vector<NpyArray> arrays;
  for (const ValueInfo& input : model.inputs()) {
    arrays.push_back(
        ReadNpyArray(folder / ("in" + set + "_" + input.name + ".npy")));
    const auto& array = ArrayOf(imported.report, input.name);
    for (size_t d = 0; d < array.rows.size(); ++d) {
      if (array.rows[d] < 0) continue;
      rows.sizes[array.rows[d]] = arrays.back().shape.at(d);
    }
  }
  Buffers inputs;
  for (size_t i = 0; i < arrays.size(); ++i) {
    const ValueInfo& input = model.inputs()[i];
    const bool ids = input.type == ValueType::kInt32;
    std::vector<float>& to = inputs.emplace_back(arrays[i].values.size());
    ForEachElement(ArrayOf(imported.report, input.name), arrays[i].shape, rows,
                   false, [&](size_t from, size_t at) {
                     const double value = arrays[i].values[from];
                     to.at(at) = ids ? AsId(value) : static_cast<float>(value);
                   });
  }
  const Buffers outputs = Run(imported, rows, inputs);
  for (size_t i = 0; i < outputs.size(); ++i) {
    const std::string name = model.outputs()[i].name;
    const NpyArray expected =
        ReadNpyArray(folder / ("out" + set + "_" + name + ".npy"));
    const auto& array = ArrayOf(imported.report, name);
    // Of sequences, what has no steps is as of the last one.
    const bool last =
        rows.time >= 0 && std::find(array.rows.begin(), array.rows.end(),
                                    rows.time) == array.rows.end();
    const size_t width = model.outputs()[i].ElementCount();
    std::vector<float> got(expected.values.size());
    std::vector<double> magnitude(got.size());
    ForEachElement(
        array, expected.shape, rows, last, [&](size_t to, size_t place) {
          size_t row = place / width;
          if (last) row = (row + 1) * rows.Steps() - 1;
          got[to] = outputs[i].at(row * width + place % width);
          magnitude[to] =
              tolerance.value("abs", 0.0) +
              tolerance.value("rel", 0.0) * std::abs(expected.values[to]);
        });
    comparison.Within(name, got, expected.floats(), magnitude, 1.0);
  }
}

void ReplayModel(const fs::path& folder, Sink& sink) {
  const json meta = ReadJson(folder / kMeta);
  const auto sets = meta.at("sets").get<size_t>();
  for (size_t set = 0; set < sets; ++set) {
    for (const bool dequantize : {false, true}) {
      RunCase(sink,
              "set " + std::to_string(set) + (dequantize ? " dequantized" : ""),
              [&](Comparison& comparison) {
                CompareSet(folder, std::to_string(set), meta.at("tolerance"),
                           dequantize, comparison);
              });
    }
  }
}

// Imports and runs with ones.
void RunOnes(const fs::path& source) {
  const Imported imported = Import(source, false);
  Rows rows;
  for (const auto& array : imported.report.arrays) {
    for (const int axis : array.rows) {
      if (axis >= 0) rows.sizes[axis] = 1;
    }
  }
  rows.time = imported.report.time_axis;
  Buffers inputs;
  for (const ValueInfo& input : imported.model->inputs()) {
    inputs.emplace_back(input.ElementCount(),
                        input.type == ValueType::kInt32 ? AsId(1) : 1.0f);
  }
  (void)Run(imported, rows, inputs);
}

void ReplayFile(const fs::path& source, const std::string& expected,
                Comparison& comparison) {
  const auto start = std::chrono::steady_clock::now();
  std::string outcome = "run";
  std::string message;
  try {
    RunOnes(source);
  } catch (const Error& error) {
    message = error.what();
    // An operator that lutra lacks may be refused as such.
    outcome = error.code() == ErrorCode::kUnsupported && expected == "run"
                  ? "run"
                  : "refuse";
  }
  const std::chrono::duration<double> time =
      std::chrono::steady_clock::now() - start;
  if (!message.empty()) comparison.Note(message);
  comparison.ExactText("outcome", outcome,
                       expected == "refuse_or_run" ? outcome : expected);
  comparison.ExactText(
      "time", time.count() < kMostSeconds * kSlower ? "short" : "too long",
      "short");
  const bool one_line = message.find('\n') == std::string::npos;
  comparison.ExactText("message", one_line ? "one line" : message, "one line");
}

void ReplayMalformed(const fs::path& folder, Sink& sink) {
  for (const json& entry : ReadJson(folder / kCases)) {
    const auto file = entry.at("file").get<std::string>();
    RunCase(sink, file, [&](Comparison& comparison) {
      ReplayFile(folder / file, entry.at("expect").get<std::string>(),
                 comparison);
    });
  }
}

bool RecogniseModel(const fs::path& folder) {
  std::error_code ignored;
  return fs::exists(folder / kModel, ignored) &&
         fs::exists(folder / kMeta, ignored);
}

bool RecogniseMalformed(const fs::path& folder) {
  std::error_code ignored;
  if (!fs::exists(folder / kCases, ignored)) return false;
  const json cases = ReadJson(folder / kCases);
  return cases.is_array() && !cases.empty() && cases[0].contains("expect") &&
         cases[0].contains("file");
}

}  // namespace

const Kind kOnnx = {"onnx", RecogniseModel, ReplayModel};
const Kind kMalformedOnnx = {"malformed", RecogniseMalformed, ReplayMalformed};

}  // namespace lutra::golden
