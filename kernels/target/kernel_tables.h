#ifndef LUTRA_KERNELS_TARGET_KERNEL_TABLES_H_
#define LUTRA_KERNELS_TARGET_KERNEL_TABLES_H_

#include <cstddef>
#include <cstdint>

#include "lutra/kernels/attention.h"
#include "lutra/kernels/vector_ops.h"

// What the rooms compile for each Highway target: tables of functions, found by
// target, which dispatch.cc puts together to variants.

namespace lutra::kernels {

struct GemmJob;           // kernels/lut/gemm_job.h
struct LutMatrix;         // lutra/kernels/lut_matrix.h
struct FloatGemmKernels;  // kernels/float/gemm_job.h

// The kernels of one variant for int8 or for float activations.
struct KernelSet {
  size_t tile_tokens = 0;
  // Fills the arrays of the job that are not nullptr, for tokens
  // [first, first + count).
  void (*prepare)(const GemmJob& job, size_t first, size_t count) = nullptr;
  // y of the one token, rows of row blocks [first, first + count).
  void (*gemv)(const GemmJob& job, size_t first, size_t count) = nullptr;
  // y of tokens [first, first + count), at most kTokenBlock, where `first` is a
  // multiple of the width; rows of row blocks 2 * panel and 2 * panel + 1.
  void (*gemm)(const GemmJob& job, size_t panel, size_t first,
               size_t count) = nullptr;
  // Does `rounds` (not 0) rounds of the multiply-accumulate of these kernels on
  // registers, the peak of the variant; returns the number of operations (a
  // multiply and an add are two).
  double (*peak)(size_t rounds) = nullptr;
  // Whether gemm multiplies a matrix by two or three tokens faster than gemv
  // does by one after the other; nullptr: of no matrix.
  bool (*prefers_gemm)(const LutMatrix& w) = nullptr;
  // Products that have too little to do for these, if there are any such, and
  // the kernels for them.
  bool (*is_small)(const GemmJob& job) = nullptr;
  const KernelSet* small = nullptr;
};

// A Highway target with one of its extensions, see dot-inl.h.
struct Int8Variant {
  const char* extension;   // follows the target's name
  bool (*is_supported)();  // by this CPU, if it supports the target
  const KernelSet* kernels;
};
inline constexpr size_t kExtensions = 3;

// nullptr where there are none; for a target without any the reference runs.
const Int8Variant* FindInt8Variant(int64_t target, size_t extension) noexcept;
// Of a target or the best of the worse ones; nullptr: the reference.
const KernelSet* FindFloatKernels(int64_t target) noexcept;

// The Highway targets of this build, as bits.
int64_t CompiledTargets() noexcept;

// The functions of vector_ops.h.
struct VectorKernels {
  void (*apply)(Function function, const float* x, size_t n, float* y);
  void (*to_float32)(FloatType type, const void* x, size_t n, float* y);
  void (*to_float16)(const float* x, size_t n, uint16_t* y);
  void (*softmax_row)(const float* x, size_t n, float* y);
  void (*rms_norm_row)(const float* x, const float* weight, size_t n, float eps,
                       float* y);
  void (*layer_norm_row)(const float* x, const float* weight, const float* bias,
                         size_t n, float eps, float* y);
  void (*sum_window)(const WindowTaps& taps, const float* bias, size_t n,
                     float* y);
};
using AttendTokensFunction = void (*)(const AttentionShape& shape,
                                      const AttentionTokens& tokens,
                                      size_t first, size_t count,
                                      const AttentionCache& cache,
                                      void* scratch);

// Of a target or, where it has none, of the best of the worse ones: bits are
// the same. The last of them is the reference.
const VectorKernels* FindVectorKernels(int64_t target) noexcept;
AttendTokensFunction FindAttendTokens(int64_t target) noexcept;
// nullptr: the reference, without fused multiply-adds.
const FloatGemmKernels* FindFloatGemmKernels(int64_t target) noexcept;

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_TARGET_KERNEL_TABLES_H_
