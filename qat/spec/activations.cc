#include "lutra/qat/activations.h"

#include "lutra/runtime/error.h"

namespace lutra::qat {
namespace {

using kernels::ActivationType;

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

}  // namespace

InputQuantization InputOf(const TensorSpec& spec) {
  InputQuantization input;
  if (spec.IsFloat()) {
    input.type = ActivationType::kFloat32;
    return input;
  }
  Require(spec.bits >= 2 && spec.bits <= 8, "have 2 to 8 bits");
  Require(spec.is_signed || !spec.symmetric,
          "that are unsigned are not symmetric around 0: \"symmetric\": false");
  Require(spec.scale_type == ScaleType::kFloat,
          "have scales of float32, which are never stored");
  Require(spec.rounding == Rounding::kHalfEven,
          "take the nearest code (rounding half-even), as kernels do");
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

}  // namespace lutra::qat
