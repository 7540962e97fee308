#include "lutra/runtime/input_quantization.h"

#include <algorithm>
#include <string_view>

#include "lutra/kernels/lut_matrix.h"
#include "runtime/base/text_of.h"

namespace lutra {
namespace {

using kernels::ActivationType;

constexpr const char* kType = "input_type";
constexpr const char* kBits = "input_bits";
constexpr const char* kGroup = "input_group";
constexpr const char* kMin = "input_min";
constexpr const char* kMax = "input_max";

constexpr double kMaxGroup = 1 << 30;

// Those of nodes.
bool IsOfNodes(const kernels::ActivationTraits& traits) {
  return traits.type != ActivationType::kBFloat16;
}

std::string TypeNames() {
  std::string names;
  for (const kernels::ActivationTraits& traits : kernels::kActivationTypes) {
    if (!IsOfNodes(traits)) continue;
    if (!names.empty()) names += ' ';
    names += traits.name;
  }
  return names;
}

std::optional<ActivationType> TypeOf(const Node& node) {
  const std::string name = WordAttribute(node, kType);
  for (const kernels::ActivationTraits& traits : kernels::kActivationTypes) {
    if (name == traits.name) return traits.type;
  }
  return std::nullopt;
}

// See PackedInput.
InputQuantization TakenInput(const Model& model, const Node& node,
                             std::optional<ActivationType> activations) {
  InputQuantization input = InputQuantizationOf(node);
  if (!activations && input.type) return input;
  const kernels::LutFormat& weight = model.packed(node.weight)->format;
  if (!activations) {
    // Outliers of a row of x then only cost the columns of their group.
    const bool has_groups = weight.group_size < weight.k;
    const bool has_range = input.range_min < input.range_max;
    activations = has_groups && !has_range ? ActivationType::kInt8PerGroup
                                           : ActivationType::kInt8Asymmetric;
  }
  input.type = activations;
  input.bits = 8;
  input.group_size = weight.group_size;
  return input;
}

}  // namespace

std::vector<AttributeSchema> InputAttributes() {
  // The difference of two of them is a finite float.
  constexpr double kLargest = 1e38;
  return {{.name = kType,
           .kind = AttributeKind::kWord,
           .required = false,
           .words = TypeNames()},
          {.name = kBits,
           .kind = AttributeKind::kCount,
           .required = false,
           .low = 2,
           .high = 8,
           .otherwise = 8},
          {.name = kGroup,
           .kind = AttributeKind::kCount,
           .required = false,
           .low = 0,
           .high = kMaxGroup},
          {.name = kMin, .required = false, .low = -kLargest, .high = 0},
          {.name = kMax, .required = false, .low = 0, .high = kLargest}};
}

bool QuantizesInput(OpType op) {
  const std::vector<AttributeSchema>& attributes =
      GetOperator(op).schema().attributes;
  return std::any_of(
      attributes.begin(), attributes.end(),
      [](const AttributeSchema& schema) { return schema.name == kType; });
}

const std::string* QuantizedValue(const Node& node) {
  if (!QuantizesInput(node.op)) return nullptr;
  if (node.op == OpType::kGruCell) return &node.output;
  if (node.op != OpType::kLstmCell) return &node.inputs[0];
  return WordAttribute(node, "output") == "both" ? nullptr : &node.output;
}

InputQuantization InputQuantizationOf(const Node& node) {
  InputQuantization input;
  input.type = TypeOf(node);
  input.bits = static_cast<int>(CountAttribute(node, kBits));
  input.group_size = CountAttribute(node, kGroup);
  input.range_min = static_cast<float>(NumberAttribute(node, kMin));
  input.range_max = static_cast<float>(NumberAttribute(node, kMax));
  return input;
}

void SetInputQuantization(const InputQuantization& input, Node& node) {
  // What is as usual is left out.
  const auto set = [&node](const char* name, bool usual, auto value) {
    if (usual) {
      node.attributes.erase(name);
    } else {
      node.attributes[name] = std::move(value);
    }
  };
  set(kType, !input.type,
      std::string(input.type ? kernels::Traits(*input.type).name : ""));
  set(kBits, input.bits == 8, static_cast<double>(input.bits));
  set(kGroup, input.group_size == 0, static_cast<double>(input.group_size));
  set(kMin, input.range_min == 0, static_cast<double>(input.range_min));
  set(kMax, input.range_max == 0, static_cast<double>(input.range_max));
}

void SetInputRange(std::string_view value, float min, float max, Graph& graph) {
  for (Node& node : graph.nodes) {
    const std::string* const quantized = QuantizedValue(node);
    if (quantized == nullptr || *quantized != value) continue;
    InputQuantization input = InputQuantizationOf(node);
    input.range_min = min;
    input.range_max = max;
    SetInputQuantization(input, node);
  }
}

void CheckInputQuantization(const Model& model, const Node& node) {
  const InputQuantization input = InputQuantizationOf(node);
  const bool grouped =
      input.type && kernels::Traits(*input.type).has_group_scales;
  if (grouped == (input.group_size > 0)) return;
  throw NodeError(model, node,
                  grouped ? "input_type 'int8-per-group' needs input_group"
                          : "input_group is for input_type 'int8-per-group'");
}

InputQuantization PackedInput(const Model& model, const Node& node,
                              std::optional<ActivationType> activations) {
  const InputQuantization input = TakenInput(model, node, activations);
  const uint32_t own = model.packed(node.weight)->format.group_size;
  if (!kernels::Traits(*input.type).has_group_scales ||
      input.group_size == own) {
    return input;
  }
  throw NodeError(model, node,
                  TextOf("its input has a scale for each ", input.group_size,
                         " columns, its weight for each ", own));
}

bool TakeSameInput(const Model& model, const Node& node, const Node& other) {
  InputQuantization input = TakenInput(model, node, std::nullopt);
  const InputQuantization with = TakenInput(model, other, std::nullopt);
  input.group_size = with.group_size;
  return input == with;
}

std::optional<kernels::ActivationRounding> FloatInput(
    const Node& node, const Execution& execution) {
  const InputQuantization input = InputQuantizationOf(node);
  if (execution.activations || !input.type ||
      kernels::Traits(*input.type).is_float) {
    return std::nullopt;
  }
  return kernels::ActivationRounding{.type = *input.type,
                                     .bits = input.bits,
                                     .group_size = input.group_size,
                                     .range_min = input.range_min,
                                     .range_max = input.range_max};
}

}  // namespace lutra
