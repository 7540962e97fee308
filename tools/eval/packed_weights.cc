#include "lutra/eval/packed_weights.h"

#include <algorithm>
#include <set>
#include <vector>

#include "lutra/packer/weights.h"
#include "lutra/runtime/input_quantization.h"

namespace lutra::eval {

bool HasPackedWeights(const Model& model) {
  const std::vector<packer::Weight> weights = packer::Weights(model);
  return std::any_of(
      weights.begin(), weights.end(),
      [](const packer::Weight& weight) { return weight.packed != nullptr; });
}

std::string ActivationsName(const Model& model, ActivationChoice activations) {
  const bool packed = HasPackedWeights(model);
  if (activations) {
    return packed ? kernels::Traits(*activations).name : "float32";
  }
  std::set<std::string> names;
  for (const Node& node : model.graph().nodes) {
    if (!QuantizesInput(node.op)) continue;
    // Float weights beside packed ones are few.
    if (packed && model.packed(node.weight) == nullptr) continue;
    const InputQuantization input = packed
                                        ? PackedInput(model, node, std::nullopt)
                                        : InputQuantizationOf(node);
    const kernels::ActivationTraits& traits =
        kernels::Traits(input.type.value_or(kernels::ActivationType::kFloat32));
    std::string name = traits.name;
    if (!traits.is_float && input.bits != 8) {
      name += ", " + std::to_string(input.bits) + " bits";
    }
    names.insert(name);
  }
  if (names.empty()) return packed ? "int8" : "float32";
  return names.size() == 1 ? *names.begin() : "mixed";
}

bool MultipliesInt8(const Model& model, ActivationChoice activations) {
  const std::vector<Node>& nodes = model.graph().nodes;
  return std::any_of(nodes.begin(), nodes.end(), [&](const Node& node) {
    if (!QuantizesInput(node.op) || model.packed(node.weight) == nullptr) {
      return false;
    }
    const ActivationChoice type =
        activations ? activations : InputQuantizationOf(node).type;
    return !type || !kernels::Traits(*type).is_float;
  });
}

}  // namespace lutra::eval
