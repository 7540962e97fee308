#include "qat/grad/matmul.h"

#include <vector>

#include "lutra/kernels/float_gemm.h"

namespace lutra::qat {
namespace {

// A product's scratch, kept by the thread for its next one: steps of training
// then neither allocate nor touch new pages.
void* Scratch(size_t bytes) {
  struct alignas(64) Line {
    char bytes[64];
  };
  thread_local std::vector<Line> lines;
  const size_t count = bytes / sizeof(Line) + 1;
  if (lines.size() < count) lines.resize(count);
  return lines.data();
}

kernels::FloatMatrix Matrix(const MatrixOperand& operand, size_t rows,
                            size_t columns) {
  const size_t stride = operand.stride != 0  ? operand.stride
                        : operand.transposed ? rows
                                             : columns;
  return {operand.data, kernels::FloatType::kFloat32, stride,
          operand.transposed};
}

}  // namespace

void MatMul(MatrixOperand a, MatrixOperand b, size_t m, size_t n, size_t k,
            bool accumulate, MatrixResult c, Executor* executor) {
  kernels::FloatGemmArguments product;
  product.a = Matrix(a, m, k);
  product.b = Matrix(b, k, n);
  product.m = m;
  product.n = n;
  product.k = k;
  product.accumulate = accumulate;
  product.c = c.data;
  product.c_stride = c.stride == 0 ? n : c.stride;
  kernels::FloatGemm(product, Scratch(FloatGemmScratchBytes(product)),
                     executor);
}

}  // namespace lutra::qat
