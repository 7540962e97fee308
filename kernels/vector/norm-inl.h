// Softmax and norms of a row, as vector_ops.h defines them.

#if defined(LUTRA_KERNELS_VECTOR_NORM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LUTRA_KERNELS_VECTOR_NORM_INL_H_
#undef LUTRA_KERNELS_VECTOR_NORM_INL_H_
#else
#define LUTRA_KERNELS_VECTOR_NORM_INL_H_
#endif

#include <cmath>
#include <limits>

#include "hwy/highway.h"
#include "kernels/vector/block-inl.h"
#include "kernels/vector/exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE {

inline void SoftmaxRow(const float* x, size_t n, float* y) {
  const size_t whole = n / kBlock * kBlock;
  Block most = SetBlock(-std::numeric_limits<float>::infinity());
  for (size_t i = 0; i < whole; i += kBlock) {
    most = Max(most, LoadBlock(x + i));
  }
  float max = MaxOf(most);
  for (size_t i = whole; i < n; ++i) max = max < x[i] ? x[i] : max;
  const Block largest = SetBlock(max);
  Block sum = SetBlock(0.0f);
  for (size_t i = 0; i < whole; i += kBlock) {
    const Block e = Map(ExpFunction(), Sub(LoadBlock(x + i), largest));
    sum = Add(sum, e);
    StoreBlock(e, y + i);
  }
  if (whole < n) {
    const Block e =
        Map(ExpFunction(), Sub(LoadPartOfBlock(x + whole, n - whole), largest));
    StorePartOfBlock(e, n - whole, y + whole);
    sum = Add(sum, LoadPartOfBlock(y + whole, n - whole));
  }
  const float scale = 1.0f / SumOf(sum);
  for (size_t i = 0; i < n; ++i) y[i] *= scale;
}

// Sum of (x - mean)^2.
inline float SumOfSquares(const float* x, size_t n, float mean) {
  const size_t whole = n / kBlock * kBlock;
  const Block center = SetBlock(mean);
  Block sum = SetBlock(0.0f);
  for (size_t i = 0; i < whole; i += kBlock) {
    const Block v = Sub(LoadBlock(x + i), center);
    sum = Add(sum, Mul(v, v));
  }
  if (whole < n) {
    float rest[kBlock] = {};
    for (size_t i = whole; i < n; ++i) rest[i - whole] = x[i] - mean;
    const Block v = LoadBlock(rest);
    sum = Add(sum, Mul(v, v));
  }
  return SumOf(sum);
}

inline void RmsNormRow(const float* x, const float* weight, size_t n, float eps,
                       float* y) {
  const float mean = SumOfSquares(x, n, 0.0f) / static_cast<float>(n);
  const float scale = 1.0f / std::sqrt(mean + eps);
  for (size_t i = 0; i < n; ++i) y[i] = (x[i] * scale) * weight[i];
}

inline void LayerNormRow(const float* x, const float* weight, const float* bias,
                         size_t n, float eps, float* y) {
  const size_t whole = n / kBlock * kBlock;
  Block sum = SetBlock(0.0f);
  for (size_t i = 0; i < whole; i += kBlock) sum = Add(sum, LoadBlock(x + i));
  if (whole < n) sum = Add(sum, LoadPartOfBlock(x + whole, n - whole));
  const float count = static_cast<float>(n);
  const float mean = SumOf(sum) / count;
  const float scale = 1.0f / std::sqrt(SumOfSquares(x, n, mean) / count + eps);
  for (size_t i = 0; i < n; ++i) {
    const float normal = ((x[i] - mean) * scale) * weight[i];
    y[i] = bias == nullptr ? normal : normal + bias[i];
  }
}

}  // namespace lutra::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
