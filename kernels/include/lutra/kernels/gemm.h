#ifndef LUTRA_KERNELS_GEMM_H_
#define LUTRA_KERNELS_GEMM_H_

#include <cstddef>
#include <memory>

#include "lutra/kernels/activation_type.h"
#include "lutra/kernels/executor.h"
#include "lutra/kernels/lut_matrix.h"
#include "lutra/kernels/span.h"

// y = x * w^T + bias for a LUT matrix w [N, K] and float32 activations x
// [M, K]. M = 1 is the GEMV, M > 1 the GEMM; both give the same bits per token.

namespace lutra::kernels {

// What happens to an output after the bias, with the bits of
//   relu: v < 0 ? 0 : v    relu6: clamp to [0, 6]
//   clamp: v < clamp_min ? clamp_min : v > clamp_max ? clamp_max : v
//   gelu: v * Phi(v)       silu: v / (1 + e^-v)
// NaN stays NaN; gelu and silu of minus infinity are -0. gelu (without the
// approximation by tanh) and silu are exact to 5e-6 and 2e-7 of their value,
// below -13 to 6e-37, with the same bits for the same v on every instruction
// set.
enum class Fusion { kNone, kRelu, kRelu6, kClamp, kGelu, kSilu };

// Stored scales, offsets and row sums that are subnormal (below 2^-126) count
// as 0: a CPU takes a hundred cycles longer for each vector that has one. An
// output loses less than 2^-118 * sum_k |x[k]| by it.
//
// With int8 activations and finite scales and offsets the result is defined to
// the bit, the same for every instruction set, thread count and M:
//
//   acc = 0; for each group g in order:
//     dot = sum over the group of q[k] * LUT[index[n][k]]   (exact, int32)
//     sum = sum over the group of q[k]                      (exact, int32)
//     acc = acc + float(dot) * scale[n][g]                  (rounded twice)
//     with offsets:
//       acc = acc + float(sum) * offset[n][g]               (rounded twice)
//   asymmetric: acc = acc - float(z) * row_sum[n]           (rounded twice)
//   y = fusion(acc * s (+ bias[n])) (+ residual[n])
//
// where row_sum[n], stored in the blob, is acc of a token of ones, with scales
// and offsets as they are stored. With a scale s[g] per group, float(dot) *
// s[g] and float(sum) * s[g] (rounded) take the places of float(dot) and
// float(sum), and s is 1. A token that holds an infinity or a NaN gives NaN for
// every output.
//
// With float activations: the same bits for every thread count and M on one
// instruction set; across instruction sets and against the reference the
// difference is at most 2 * (K + 4) * 2^-24 * sum_k |x[k]| * b[n][k] before the
// fusion, where b is |scale * LUT[index]| + |offset|, unless a sum of
// |x[k] * LUT[index]| over a group overflows.

struct GemmArguments {
  const float* x = nullptr;  // [M, K]
  size_t x_stride = 0;       // floats between rows of x, at least K
  size_t m = 0;
  const float* bias = nullptr;  // [N], or nullptr
  float* y = nullptr;           // [M, N]; must not overlap x, bias or scratch
  size_t y_stride = 0;          // floats between rows of y, at least N
  Fusion fusion = Fusion::kNone;
  float clamp_min = 0;  // Fusion::kClamp only; neither is NaN, min <= max
  float clamp_max = 0;
  // [M, N], added to y after the fusion, or nullptr; must not overlap y.
  const float* residual = nullptr;
  size_t residual_stride = 0;  // floats between its rows, at least N
  // Where they are not both 0: what int8 activations with a scale per token are
  // quantized for, in the place of the token's own mn and mx (of
  // activation_type.h). Values outside become the ends. range_min <= 0 <=
  // range_max, both finite, as is their difference.
  float range_min = 0;
  float range_max = 0;

  // Of int8 activations: 2 to 8 of the 8 bits are used. Takes as long as 8; for
  // networks that are made for an accelerator with fewer.
  int activation_bits = 8;

  bool HasRange() const { return range_min < range_max; }
};

// Bytes of scratch memory that Gemm needs for up to `m` tokens.
size_t GemmScratchBytes(const LutMatrix& w, ActivationType activation_type,
                        size_t m) noexcept;

// Runs on the best instruction set of this CPU (see variants.h), on the
// threads of `executor`, or on the calling thread if it is nullptr. `scratch`
// has GemmScratchBytes(w, type, m) bytes, aligned to 64, and may be reused
// afterwards. No allocation, no error: arguments must fit
// (checked in debug builds).
void Gemm(const LutMatrix& w, ActivationType activation_type,
          const GemmArguments& arguments, void* scratch,
          Executor* executor) noexcept;

// One of several products of the same activations: `x`, `x_stride`, `m`, the
// range and the bits are the same for all of them, and so is K.
struct GemmProduct {
  const LutMatrix* w = nullptr;  // must outlive the PreparedGemm
  GemmArguments arguments;
};
inline constexpr size_t kMaxGemmProducts = 4;

// Calls of Gemm that are made again and again with the same arguments, for
// instance those that make queries, keys and values. Activations are quantized
// once for matrices with the same K, bits, group size and smallest entry,
// threads are woken once, and what does not depend on the activations is worked
// out once for calls that have as many tokens as the one before: for small
// matrices that is half of the time. Gives the same bits as separate calls. Run
// may not be called by several threads at once.
class PreparedGemm {
 public:
  // For calls of up to `m` tokens. Of `products` only `w` is looked at.
  static size_t ScratchBytes(Span<const GemmProduct> products,
                             ActivationType activation_type, size_t m) noexcept;

  // 1 to kMaxGemmProducts products; their `m` is not looked at. Throws
  // std::bad_alloc.
  PreparedGemm(Span<const GemmProduct> products, ActivationType activation_type,
               void* scratch);
  ~PreparedGemm();
  PreparedGemm(PreparedGemm&&) noexcept;
  PreparedGemm& operator=(PreparedGemm&&) noexcept;

  // For the first `m` tokens.
  void Run(size_t m, Executor* executor) noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The definition above in plain C++, one loop per symbol. Allocates nothing;
// slow; what all other kernels are tested against.
void ReferenceGemm(const LutMatrix& w, ActivationType activation_type,
                   const GemmArguments& arguments) noexcept;

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_GEMM_H_
