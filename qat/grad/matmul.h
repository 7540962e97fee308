#ifndef LUTRA_QAT_GRAD_MATMUL_H_
#define LUTRA_QAT_GRAD_MATMUL_H_

#include <cstddef>

#include "lutra/kernels/executor.h"

namespace lutra::qat {

// A row-major matrix, possibly to be read as its transpose.
struct MatrixOperand {
  const float* data = nullptr;
  bool transposed = false;
  size_t stride = 0;  // from row to row in memory; 0: rows have no gaps
};

struct MatrixResult {
  float* data = nullptr;
  size_t stride = 0;  // likewise
};

// c[m, n] = a[m, k] * b[k, n], or c += with `accumulate`. A transposed `a` is
// stored as [k, m], a transposed `b` as [n, k]. c overlaps neither. The bits
// are those that float_gemm.h defines, for any number of threads. Throws
// std::bad_alloc; a thread keeps some MiB for its next call.
void MatMul(MatrixOperand a, MatrixOperand b, size_t m, size_t n, size_t k,
            bool accumulate, MatrixResult c, Executor* executor);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_GRAD_MATMUL_H_
