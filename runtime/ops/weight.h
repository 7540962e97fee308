#ifndef LUTRA_RUNTIME_OPS_WEIGHT_H_
#define LUTRA_RUNTIME_OPS_WEIGHT_H_

#include <cstdint>
#include <string_view>

#include "lutra/kernels/vector_ops.h"
#include "lutra/runtime/model.h"

namespace lutra {

// A weight [n, k], either packed or float; points into the model's mapping.
struct Weight {
  uint32_t n = 0;
  uint32_t k = 0;
  const kernels::LutMatrix* packed = nullptr;
  // [n, k] of `type`, if not packed.
  kernels::FloatType type = kernels::FloatType::kFloat32;
  const void* values = nullptr;

  // Of all weights.
  uint64_t ByteCount() const;
};

// Throws Error if the tensor is missing or is neither a packed tensor nor an
// F32, F16 or BF16 matrix.
Weight GetWeight(const Model& model, std::string_view tensor);

// The node's bias, float [n], or nullptr if it has none. Throws Error.
const float* GetBias(const Model& model, const Node& node, uint32_t n);

// The tensor `name` of `node`, which must be F32 [n]; `what` says what it is.
// Throws Error.
const float* GetVector(const Model& model, const std::string& name, size_t n,
                       const std::string& what);

// Reads the header of a packed tensor. Throws Error.
kernels::LutMatrix ParsePacked(const TensorView& tensor, std::string_view file);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_OPS_WEIGHT_H_
