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

kernels::FloatMatrix Matrix(MatrixOperand operand, size_t rows,
                            size_t columns) {
  return {operand.data, kernels::FloatType::kFloat32,
          operand.transposed ? rows : columns, operand.transposed};
}

}  // namespace

void MatMul(MatrixOperand a, MatrixOperand b, size_t m, size_t n, size_t k,
            bool accumulate, float* c, Executor* executor) {
  kernels::FloatGemmArguments product;
  product.a = Matrix(a, m, k);
  product.b = Matrix(b, k, n);
  product.m = m;
  product.n = n;
  product.k = k;
  product.accumulate = accumulate;
  product.c = c;
  product.c_stride = n;
  kernels::FloatGemm(product, Scratch(FloatGemmScratchBytes(product)),
                     executor);
}

}  // namespace lutra::qat
