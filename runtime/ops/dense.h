#ifndef LUTRA_RUNTIME_OPS_DENSE_H_
#define LUTRA_RUNTIME_OPS_DENSE_H_

#include <cstddef>

#include "lutra/kernels/executor.h"
#include "runtime/ops/weight.h"

namespace lutra {

// Scratch of MultiplyDense for calls with up to `m` rows.
size_t DenseScratchBytes(const Weight& w, size_t m);

// y [m, n] = x [m, k] * w^T + bias with a float weight, which is used where it
// lies; `bias` may be nullptr. The bits of a row depend neither on the other
// rows nor on the number of threads. Allocates nothing; `scratch` is aligned to
// 64 bytes.
void MultiplyDense(const Weight& w, const float* bias, const float* x, size_t m,
                   float* y, void* scratch, Executor* executor);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_OPS_DENSE_H_
