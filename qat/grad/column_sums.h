#ifndef LUTRA_QAT_GRAD_COLUMN_SUMS_H_
#define LUTRA_QAT_GRAD_COLUMN_SUMS_H_

#include <cstddef>

#include "lutra/kernels/executor.h"

namespace lutra::qat {

// sum[i] += the sum of column i of rows [m, n].
void AddColumnSums(Executor* executor, const float* rows, size_t m, size_t n,
                   float* sum);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_GRAD_COLUMN_SUMS_H_
