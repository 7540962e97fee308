#include "lutra/eval/packed_weights.h"

#include <algorithm>
#include <vector>

#include "lutra/packer/weights.h"

namespace lutra::eval {

bool HasPackedWeights(const Model& model) {
  const std::vector<packer::Weight> weights = packer::Weights(model);
  return std::any_of(
      weights.begin(), weights.end(),
      [](const packer::Weight& weight) { return weight.packed != nullptr; });
}

bool MultipliesInt8(const Model& model, kernels::ActivationType activations) {
  return HasPackedWeights(model) && !kernels::Traits(activations).is_float;
}

}  // namespace lutra::eval
