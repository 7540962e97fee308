#include "qat/grad/matmul.h"

// Room on the stack for the buffers Eigen packs into, so that no call
// allocates.
#define EIGEN_STACK_ALLOCATION_LIMIT (256 * 1024)
#include <Eigen/Core>

#include "kernels/base/parallel.h"

namespace lutra::qat {
namespace {

using Matrix =
    Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Input = Eigen::Map<const Matrix, Eigen::Unaligned, Eigen::OuterStride<>>;
using Output = Eigen::Map<Matrix, Eigen::Unaligned, Eigen::OuterStride<>>;

Eigen::Index Index(size_t value) { return static_cast<Eigen::Index>(value); }

// Rows [begin, end) of a matrix with `columns` columns.
Input Rows(const MatrixOperand& x, size_t begin, size_t end, size_t columns) {
  const size_t stride = x.stride == 0 ? columns : x.stride;
  return Input(x.data + begin * stride, Index(end - begin), Index(columns),
               Eigen::OuterStride<>(Index(stride)));
}

// Columns [begin, end) of a matrix of `rows` rows and `columns` columns.
Input Columns(const MatrixOperand& x, size_t begin, size_t end, size_t rows,
              size_t columns) {
  const size_t stride = x.stride == 0 ? columns : x.stride;
  return Input(x.data + begin, Index(rows), Index(end - begin),
               Eigen::OuterStride<>(Index(stride)));
}

template <typename A, typename B>
void Product(const A& a, const B& b, bool accumulate, Output c) {
  if (accumulate) {
    c.noalias() += a * b;
  } else {
    c.noalias() = a * b;
  }
}

template <typename A>
void ProductWith(const A& a, const Input& b, bool transposed, bool accumulate,
                 Output c) {
  if (transposed) {
    Product(a, b.transpose(), accumulate, c);
  } else {
    Product(a, b, accumulate, c);
  }
}

// Eigen derives its blocking, and with it the order of its sums, from the sizes
// of the caches. Fixed ones give the same bits on machines that differ only in
// these, and bound the buffers it packs into.
void FixBlocking() {
  static const bool done = [] {
    Eigen::setCpuCacheSizes(32 << 10, 256 << 10, 2 << 20);
    return true;
  }();
  (void)done;
}

}  // namespace

void MatMul(MatrixOperand a, MatrixOperand b, size_t m, size_t n, size_t k,
            bool accumulate, MatrixResult c, Executor* executor) {
  FixBlocking();
  // Tasks share the longer side of c. Each packs the whole of the operand that
  // belongs to the other side, which 64 rows or columns make up for.
  constexpr size_t kChunk = 64;
  const bool by_rows = m >= n;
  const size_t c_stride = c.stride == 0 ? n : c.stride;
  ParallelFor(executor, by_rows ? m : n, kChunk, [&](size_t begin, size_t end) {
    const size_t row = by_rows ? begin : 0;
    const size_t row_end = by_rows ? end : m;
    const size_t column = by_rows ? 0 : begin;
    const size_t column_end = by_rows ? n : end;
    const Input part_b = b.transposed ? Rows(b, column, column_end, k)
                                      : Columns(b, column, column_end, k, n);
    const Output part_c(c.data + row * c_stride + column, Index(row_end - row),
                        Index(column_end - column),
                        Eigen::OuterStride<>(Index(c_stride)));
    if (a.transposed) {
      ProductWith(Columns(a, row, row_end, k, m).transpose(), part_b,
                  b.transposed, accumulate, part_c);
    } else {
      ProductWith(Rows(a, row, row_end, k), part_b, b.transposed, accumulate,
                  part_c);
    }
  });
}

}  // namespace lutra::qat
