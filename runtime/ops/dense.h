#ifndef LUTRA_RUNTIME_OPS_DENSE_H_
#define LUTRA_RUNTIME_OPS_DENSE_H_

#include <cstddef>

#include "lutra/kernels/executor.h"
#include "runtime/ops/weight.h"

namespace lutra {

// y [m, n] = x [m, k] * w^T + bias with a float weight, which is used where it
// lies; `bias` may be nullptr. The bits of a row depend neither on the other
// rows nor on the number of threads. Allocates nothing.
void MultiplyDense(const Weight& w, const float* bias, const float* x, size_t m,
                   float* y, Executor* executor);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_OPS_DENSE_H_
