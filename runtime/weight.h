#ifndef LUTRA_RUNTIME_WEIGHT_H_
#define LUTRA_RUNTIME_WEIGHT_H_

#include <cstdint>
#include <string_view>

#include "lutra/runtime/model.h"

namespace lutra {

// A weight [n, k], either packed or float32; points into the model's mapping.
struct Weight {
  uint32_t n = 0;
  uint32_t k = 0;
  const kernels::LutMatrix* packed = nullptr;
  const float* floats = nullptr;  // [n, k], if not packed
};

// Throws Error if the tensor is missing or is neither a packed tensor nor an
// F32 matrix.
Weight GetWeight(const Model& model, std::string_view tensor);

// The node's bias, float [n], or nullptr if it has none. Throws Error.
const float* GetBias(const Model& model, const Node& node, uint32_t n);

// Reads the header of a packed tensor. Throws Error.
kernels::LutMatrix ParsePacked(const TensorView& tensor, std::string_view file);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_WEIGHT_H_
