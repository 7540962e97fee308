#ifndef LUTRA_KERNELS_ACTIVATION_ROUNDING_H_
#define LUTRA_KERNELS_ACTIVATION_ROUNDING_H_

#include <cstddef>
#include <cstdint>

#include "lutra/kernels/activation_type.h"
#include "lutra/kernels/executor.h"

namespace lutra::kernels {

// How activations become int8 (gemm.h).
struct ActivationRounding {
  ActivationType type = ActivationType::kInt8Asymmetric;  // no float type
  int bits = 8;  // 2 to 8, see GemmArguments::activation_bits
  // Columns that share a scale; of kInt8PerGroup, above 0.
  size_t group_size = 0;
  // See GemmArguments; 0 to 0: none.
  float range_min = 0;
  float range_max = 0;
};

// What int8 activations stand for, as floats: of each row of x [m, k]
//   y = (q - z) * s   (rounded once)
// with q, z and s of activation_type.h, so that a product of y with float
// weights is, but for its own rounding, that of x with packed ones. A row that
// holds an infinity or a NaN becomes NaN. y may be x.
//
// inside [m, k], unless it is nullptr, becomes 1 where q was in its range
// before it was clipped, else 0: what a straight-through gradient passes
// (Bengio et al., "Estimating or Propagating Gradients Through Stochastic
// Neurons", 2013). Allocates nothing.
void RoundActivations(const ActivationRounding& rounding, const float* x,
                      size_t m, size_t k, float* y, uint8_t* inside,
                      Executor* executor) noexcept;

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_ACTIVATION_ROUNDING_H_
