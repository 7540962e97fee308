#include <algorithm>

#include "kernels/base/fused.h"
#include "kernels/float/gemm_job.h"
#include "lutra/kernels/float_gemm.h"

namespace lutra::kernels::reference {
namespace {

float Element(const FloatMatrix& matrix, size_t row, size_t column) {
  const size_t at = matrix.transposed ? column * matrix.stride + row
                                      : row * matrix.stride + column;
  float value;
  reference::ToFloat32(
      matrix.type,
      static_cast<const uint8_t*>(matrix.data) + at * ByteSize(matrix.type), 1,
      &value);
  return value;
}

}  // namespace

void FloatGemm(const FloatGemmArguments& g, bool fused) noexcept {
  for (size_t i = 0; i < g.m; ++i) {
    for (size_t n = 0; n < g.n; ++n) {
      float& c = g.c[i * g.c_stride + n];
      if (!g.accumulate) c = g.bias == nullptr ? 0.0f : g.bias[n];
      for (size_t begin = 0; begin < g.k; begin += kDepth) {
        float chains[kChains] = {};
        for (size_t j = begin; j < std::min(g.k, begin + kDepth); ++j) {
          float& chain = chains[j % kChains];
          const float a = Element(g.a, i, j);
          const float b = Element(g.b, j, n);
          chain = fused ? FusedMultiplyAdd(a, b, chain) : a * b + chain;
        }
        for (const float chain : chains) c += chain;
      }
    }
  }
}

}  // namespace lutra::kernels::reference
