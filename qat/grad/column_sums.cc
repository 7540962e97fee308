#include "qat/grad/column_sums.h"

#include "kernels/base/parallel.h"

namespace lutra::qat {

void AddColumnSums(Executor* executor, const float* rows, size_t m, size_t n,
                   float* sum) {
  // Threads share columns, so that the order of a sum is that of the rows.
  constexpr size_t kColumnTile = 256;
  ParallelFor(executor, n, kColumnTile, [&](size_t begin, size_t end) {
    for (size_t row = 0; row < m; ++row) {
      const float* x = rows + row * n;
      for (size_t i = begin; i < end; ++i) sum[i] += x[i];
    }
  });
}

}  // namespace lutra::qat
