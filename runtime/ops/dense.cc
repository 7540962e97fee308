#include "runtime/ops/dense.h"

#include "kernels/base/parallel.h"

namespace lutra {
namespace {

// Multiplications per piece of work: some microseconds, so that small matrices
// stay on the calling thread.
constexpr size_t kTileProducts = 1 << 17;
// What DenseColumns works on at a time, for every instruction set.
constexpr size_t kTileColumns = 24;

}  // namespace

void MultiplyDense(const Weight& w, const float* bias, const float* x, size_t m,
                   float* y, Executor* executor) {
  if (m == 0) return;
  const kernels::DenseArguments arguments = {.w = w.values,
                                             .type = w.type,
                                             .n = w.n,
                                             .k = w.k,
                                             .x = x,
                                             .m = m,
                                             .bias = bias,
                                             .y = y};
  const size_t columns = kTileProducts / (m * w.k);
  const size_t tile = (columns / kTileColumns + 1) * kTileColumns;
  ParallelFor(executor, w.n, tile, [&](size_t begin, size_t end) {
    kernels::DenseColumns(arguments, begin, end - begin);
  });
}

}  // namespace lutra
