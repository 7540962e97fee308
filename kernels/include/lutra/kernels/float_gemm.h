#ifndef LUTRA_KERNELS_FLOAT_GEMM_H_
#define LUTRA_KERNELS_FLOAT_GEMM_H_

#include <cstddef>

#include "lutra/kernels/executor.h"
#include "lutra/kernels/vector_ops.h"

// Products of float matrices, c = a * b: layers with float weights, and the
// three products of training (x * w^T, dy * w, dy^T * x). Operands are used
// where they lie; no copy of a whole one is kept.
//
// Results are defined to the bit. K is cut into blocks of 512, the last one
// shorter. Within a block there are four chains, one for each remainder of the
// column divided by four:
//
//   chain[r] = 0, then for each column j of the block with j % 4 == r, in order
//   chain[r] = a[i][j] * b[j][n] + chain[r]
//
// and c[i][n], which starts as 0, as bias[n] or as what it held, takes up
// chain[0], chain[1], chain[2] and chain[3] of the first block, then those of
// the next. So an element has the same bits whatever the other rows and columns
// are, however operands are stored, and for any number of threads.
//
// A multiply-add is fused (rounded once) where the instruction set has that:
// AVX2 and up, 64-bit Arm. Others (SSE4, SSSE3, SSE2, WebAssembly) round the
// product and the sum. So there are two sets of bits, and FloatGemmIsFused
// tells which. Half floats become float32 exactly; all sums are float32. A NaN
// gives NaNs; its bits are not defined.
//
// Like all kernels these run on the active variant (see variants.h), allocate
// nothing and may be called from several threads at once.

namespace lutra::kernels {

// A matrix in rows of `stride` elements: element (i, j) is data[i * stride + j]
// or, if it is the transpose of what is stored, data[j * stride + i].
struct FloatMatrix {
  const void* data = nullptr;  // aligned to its elements
  FloatType type = FloatType::kFloat32;
  size_t stride = 0;
  bool transposed = false;
};

// c [m, n] = a [m, k] * b [k, n]. Any of m, n and k may be 0.
struct FloatGemmArguments {
  FloatMatrix a;
  FloatMatrix b;
  size_t m = 0;
  size_t n = 0;
  size_t k = 0;
  // What c starts as: [n], or nullptr for zeros; not with `accumulate`.
  const float* bias = nullptr;
  bool accumulate = false;  // c starts as what it holds
  float* c = nullptr;       // overlaps no operand
  size_t c_stride = 0;      // at least n
};

// How much scratch FloatGemm wants for such a product (its pointers and strides
// do not matter), at most 3.1 MiB: a part of `a`, rearranged. It does not
// shrink when m or k grow, and does not depend on the variant. 0 for products
// that rearrange nothing: up to five rows of float32 by a transposed `b`.
size_t FloatGemmScratchBytes(const FloatGemmArguments& arguments) noexcept;

// Computes c on the threads of `executor` (nullptr: on this one) in `scratch`,
// which is aligned to 64 bytes. A thread takes up to 34 KiB of its stack, 66
// KiB with AVX-512.
void FloatGemm(const FloatGemmArguments& arguments, void* scratch,
               Executor* executor) noexcept;

// Whether multiply-adds of the active variant are fused.
bool FloatGemmIsFused() noexcept;

namespace reference {

// The formula, with or without fused multiply-adds.
void FloatGemm(const FloatGemmArguments& arguments, bool fused) noexcept;

}  // namespace reference

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_FLOAT_GEMM_H_
