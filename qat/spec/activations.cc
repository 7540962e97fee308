#include "lutra/qat/activations.h"

#include <algorithm>
#include <utility>

#include "lutra/runtime/error.h"
#include "lutra/runtime/operator.h"

namespace lutra::qat {
namespace {

using kernels::ActivationType;

// Of a fake_quantize.
constexpr float kLeastScale = 1e-30f;

void Require(bool condition, const char* cause) {
  if (!condition) throw Error(std::string("activations ") + cause);
}

ActivationType TypeOf(const TensorSpec& spec) {
  if (spec.granularity == Granularity::kGroup) {
    Require(spec.symmetric, "with a scale per group are symmetric");
    Require(spec.dynamic, "with a scale per group have no fixed range");
    return ActivationType::kInt8PerGroup;
  }
  if (spec.dynamic) {
    Require(spec.granularity == Granularity::kToken,
            "with one scale need a fixed range (\"dynamic\": false): one of "
            "the values at hand would depend on what else is in a call");
  } else {
    Require(spec.granularity == Granularity::kTensor,
            "have one fixed range for all tokens (granularity tensor)");
  }
  return spec.symmetric ? ActivationType::kInt8Symmetric
                        : ActivationType::kInt8Asymmetric;
}

// What holds for the inputs of layers and for their outputs.
void CheckCodes(const TensorSpec& spec) {
  Require(spec.bits >= 2 && spec.bits <= 8, "have 2 to 8 bits");
  Require(spec.is_signed || !spec.symmetric,
          "that are unsigned are not symmetric around 0: \"symmetric\": false");
  Require(spec.groups_per_row == 0,
          "have groups of columns, those of the weights, not parts of a row");
  Require(spec.scale_type == ScaleType::kFloat,
          "have scales of float32, which are never stored");
  Require(spec.rounding == Rounding::kHalfEven,
          "take the nearest code (rounding half-even), as kernels do");
  Require(spec.observer != RangeMethod::kMx,
          "have no blocks of powers of two (observer mx)");
}

bool IsRounded(const Graph& graph, const std::string& value) {
  return std::any_of(graph.nodes.begin(), graph.nodes.end(),
                     [&](const Node& node) {
                       return node.op == OpType::kFakeQuantize &&
                              (node.inputs[0] == value || node.output == value);
                     });
}

}  // namespace

InputQuantization InputOf(const TensorSpec& spec) {
  InputQuantization input;
  if (spec.IsFloat()) {
    input.type = ActivationType::kFloat32;
    return input;
  }
  CheckCodes(spec);
  Require(spec.observer == RangeMethod::kMinMax || !spec.dynamic,
          "whose range is that of the values at hand take all of it (observer "
          "min-max)");
  input.type = TypeOf(spec);
  input.bits = spec.bits;
  input.group_size = static_cast<size_t>(spec.group_size);
  return input;
}

std::vector<StaticInput> QuantizeInputs(const QuantizationSpec& spec,
                                        Graph& graph) {
  std::vector<StaticInput> wanted;
  for (Node& node : graph.nodes) {
    if (!QuantizesInput(node.op)) continue;
    const LayerSpec layer = spec.Match({node.weight, node.op});
    if (!layer.activations) continue;
    InputQuantization input = InputOf(*layer.activations);
    if (layer.activations->IsFloat() || layer.activations->dynamic) {
      SetInputQuantization(input, node);
      continue;
    }
    const InputQuantization before = InputQuantizationOf(node);
    input.range_min = before.range_min;
    input.range_max = before.range_max;
    SetInputQuantization(input, node);
    if (input.range_min == input.range_max) {
      if (QuantizedValue(node) == nullptr) {
        throw Error("tensor '" + node.weight +
                    "': its input is a part of the value '" + node.output +
                    "' and can have no fixed range");
      }
      wanted.push_back({*QuantizedValue(node), *layer.activations});
    }
  }
  return wanted;
}

void CheckOutput(const TensorSpec& spec) {
  CheckCodes(spec);
  Require(spec.granularity == Granularity::kTensor && !spec.dynamic,
          "that leave a layer have one fixed range (granularity tensor, "
          "\"dynamic\": false); the next layer takes them with scales of its "
          "own (activations)");
}

std::vector<StaticInput> OutputsToRound(const QuantizationSpec& spec,
                                        const Graph& graph) {
  std::vector<StaticInput> wanted;
  for (const Node& node : graph.nodes) {
    if (!IsPackable(node.op)) continue;
    const LayerSpec layer = spec.Match({node.weight, node.op});
    if (!layer.outputs || IsRounded(graph, node.output)) continue;
    if (node.op == OpType::kLstmCell || node.op == OpType::kGruCell) {
      throw Error("tensor '" + node.weight +
                  "': " + (node.op == OpType::kLstmCell ? "an " : "a ") +
                  std::string(Name(node.op)) +
                  " reads its output again, which is not rounded on the way "
                  "(outputs)");
    }
    wanted.push_back({node.output, *layer.outputs});
  }
  return wanted;
}

void RoundOutput(const StaticInput& output, float min, float max,
                 Graph& graph) {
  const std::string exact = output.value + ".exact";
  const auto is_named = [&](const std::string& name) {
    return [&name](const Node& node) { return node.output == name; };
  };
  if (std::any_of(graph.nodes.begin(), graph.nodes.end(), is_named(exact)) ||
      std::any_of(
          graph.inputs.begin(), graph.inputs.end(),
          [&](const GraphInput& input) { return input.name == exact; })) {
    throw Error("there is a value '" + exact + "' already");
  }
  const auto made = std::find_if(graph.nodes.begin(), graph.nodes.end(),
                                 is_named(output.value));
  if (made == graph.nodes.end()) {
    throw Error("no node makes the value '" + output.value + "'");
  }
  AffineScheme scheme = ObserverOptionsOf(output.activations).scheme;
  scheme.eps = kLeastScale;
  const AffineParameters parameters = ChooseAffine(scheme, min, max);
  Node rounded;
  rounded.op = OpType::kFakeQuantize;
  rounded.inputs = {exact};
  rounded.output = output.value;
  const double zero = parameters.zero_point;
  rounded.attributes["scale"] = static_cast<double>(parameters.scale);
  rounded.attributes["low"] = scheme.bounds.lo - zero;
  rounded.attributes["high"] = scheme.bounds.hi - zero;
  made->output = exact;
  graph.nodes.insert(made + 1, std::move(rounded));
}

}  // namespace lutra::qat
