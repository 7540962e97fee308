#ifndef LUTRA_KERNELS_GEMM_H_
#define LUTRA_KERNELS_GEMM_H_

#include <pthreadpool.h>

#include <cstddef>

#include "lutra/kernels/lut_matrix.h"

// y = x * w^T + bias for a LUT matrix w [N, K] and float32 activations x
// [M, K]. M = 1 is the GEMV, M > 1 the GEMM; both give the same bits per token.

namespace lutra::kernels {

// How activations enter the dot product.
enum class ActivationType {
  // Quantized per token (row of x) on the fly:
  //   s = max(max|x| / 127, 2^-126), q = clip(rne(x * (1/s)), -127, 127)
  kInt8Symmetric,
  // Quantized per token as torchao does:
  //   mn = min(min x, 0), mx = max(max x, 0)
  //   s = max((mx - mn) / 255, 2^-126), z = clip(-128 - rne(mn/s), -128, 127)
  //   q = clip(rne(x * (1/s)) + z, -128, 127)
  kInt8Asymmetric,
  // Used as they are, with w dequantized on the fly.
  kFloat32,
};

// With int8 activations the result is defined to the bit, the same for every
// instruction set, thread count and M:
//
//   acc = 0; for each group g in order:
//     dot = sum over the group of q[k] * LUT[index[n][k]]   (exact, int32)
//     acc = acc + float(dot) * scale[n][g]                  (rounded twice)
//   asymmetric: acc = acc - float(z) * row_sum[n]           (rounded twice)
//   y = acc * s (+ bias[n])
//
// where row_sum[n], stored in the blob, is acc of a token of ones. A token that
// holds an infinity or a NaN gives NaN for every output.
//
// With float activations: the same bits for every thread count and M on one
// instruction set; across instruction sets and against the reference the
// difference is at most 2 * (K + 2) * 2^-24 * sum_k |x[k] * w[n][k]|.

struct GemmArguments {
  const float* x = nullptr;  // [M, K]
  size_t x_stride = 0;       // floats between rows of x, at least K
  size_t m = 0;
  const float* bias = nullptr;  // [N], or nullptr
  float* y = nullptr;           // [M, N]; must not overlap x, bias or scratch
  size_t y_stride = 0;          // floats between rows of y, at least N
};

// Bytes of scratch memory that Gemm needs for up to `m` tokens.
size_t GemmScratchBytes(const LutMatrix& w, ActivationType activation_type,
                        size_t m, size_t threads) noexcept;

// Runs on the best instruction set of this CPU (see variants.h), on the
// threads of `pool`, or on the calling thread if it is nullptr. `scratch` has
// GemmScratchBytes(w, type, m, threads of the pool or 1) bytes, aligned to 64,
// and may be reused afterwards. No allocation, no error: arguments must fit
// (checked in debug builds).
void Gemm(const LutMatrix& w, ActivationType activation_type,
          const GemmArguments& arguments, void* scratch,
          pthreadpool_t pool) noexcept;

// The definition above in plain C++, one loop per symbol. Allocates nothing;
// slow; what all other kernels are tested against.
void ReferenceGemm(const LutMatrix& w, ActivationType activation_type,
                   const GemmArguments& arguments) noexcept;

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_GEMM_H_
