#ifndef LUTRA_RUNTIME_DENSE_H_
#define LUTRA_RUNTIME_DENSE_H_

#include <pthreadpool.h>

#include <cstddef>
#include <memory>

#include "runtime/operator.h"

// Dense float operators. Exactly one implementation is built:
// dense_xnnpack.cc, or dense_portable.cc without XNNPACK.

namespace lutra {

// y = x * w^T + bias. All arrays are dense, row-major, and outlive the step.
struct DenseLinear {
  size_t m = 0;
  size_t n = 0;
  size_t k = 0;
  const float* w = nullptr;     // [n, k]
  const float* bias = nullptr;  // [n], or nullptr
  const float* x = nullptr;     // [m, k]
  float* y = nullptr;           // [m, n]
};

// Bytes after the end of x and y that an implementation may read.
size_t DenseTailBytes();

// Throws Error.
std::unique_ptr<Step> BindDenseLinear(const DenseLinear& linear,
                                      pthreadpool_t pool);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_DENSE_H_
