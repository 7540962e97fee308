#ifndef LUTRA_KERNELS_VECTOR_VECTOR_KERNELS_H_
#define LUTRA_KERNELS_VECTOR_VECTOR_KERNELS_H_

#include <cstddef>
#include <cstdint>

#include "lutra/kernels/attention.h"
#include "lutra/kernels/vector_ops.h"

namespace lutra::kernels {

// The functions of vector_ops.h and attention.h for one Highway target.
struct VectorKernels {
  void (*apply)(Function function, const float* x, size_t n, float* y);
  void (*to_float32)(FloatType type, const void* x, size_t n, float* y);
  void (*softmax_row)(const float* x, size_t n, float* y);
  void (*rms_norm_row)(const float* x, const float* weight, size_t n, float eps,
                       float* y);
  void (*layer_norm_row)(const float* x, const float* weight, const float* bias,
                         size_t n, float eps, float* y);
  void (*dense_columns)(const DenseArguments& arguments, size_t first,
                        size_t count);
  void (*to_float16)(const float* x, size_t n, uint16_t* y);
  void (*attend_token)(const AttentionShape& shape, size_t position,
                       size_t first, size_t count, const float* q,
                       const void* cache, void* scratch, float* y);
};

// The kernels for a Highway target or, where it has none, for the best of the
// worse ones: bits are the same.
const VectorKernels* FindVectorKernels(int64_t target) noexcept;

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_VECTOR_VECTOR_KERNELS_H_
