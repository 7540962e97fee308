#include "runtime/ops/dense.h"

#include "lutra/kernels/float_gemm.h"

namespace lutra {
namespace {

kernels::FloatGemmArguments Product(const Weight& w, size_t m) {
  kernels::FloatGemmArguments product;
  product.a = {nullptr, kernels::FloatType::kFloat32, w.k, false};
  product.b = {w.values, w.type, w.k, true};
  product.m = m;
  product.n = w.n;
  product.k = w.k;
  product.c_stride = w.n;
  return product;
}

}  // namespace

size_t DenseScratchBytes(const Weight& w, size_t m) {
  return kernels::FloatGemmScratchBytes(Product(w, m));
}

void MultiplyDense(const Weight& w, const float* bias, const float* x, size_t m,
                   float* y, void* scratch, Executor* executor) {
  kernels::FloatGemmArguments product = Product(w, m);
  product.a.data = x;
  product.bias = bias;
  product.c = y;
  kernels::FloatGemm(product, scratch, executor);
}

}  // namespace lutra
