// Sums over the taps of a window, as vector_ops.h defines them.

#if defined(LUTRA_KERNELS_VECTOR_WINDOW_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LUTRA_KERNELS_VECTOR_WINDOW_INL_H_
#undef LUTRA_KERNELS_VECTOR_WINDOW_INL_H_
#else
#define LUTRA_KERNELS_VECTOR_WINDOW_INL_H_
#endif

#include <algorithm>
#include <cstring>

#include "hwy/highway.h"
#include "kernels/vector/block-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE {

// kBlocks blocks of channels, from channel c on: sums of one block wait for
// each other, those of several do not.
template <size_t kBlocks>
HWY_INLINE void SumBlocks(const WindowTaps& taps, const float* bias, size_t c,
                          float* y) {
  Block sums[kBlocks];
  for (Block& sum : sums) sum = SetBlock(0.0f);
  for (size_t i = 0; i < taps.rows; ++i) {
    const float* x = taps.x + i * taps.x_row + c;
    const float* weight = taps.weight + i * taps.weight_row + c;
    for (size_t j = 0; j < taps.columns; ++j) {
      for (size_t b = 0; b < kBlocks; ++b) {
        sums[b] = Add(sums[b], Mul(LoadBlock(x + b * kBlock),
                                   LoadBlock(weight + b * kBlock)));
      }
      x += taps.x_column;
      weight += taps.weight_column;
    }
  }
  for (size_t b = 0; b < kBlocks; ++b) {
    if (bias != nullptr) {
      sums[b] = Add(sums[b], LoadBlock(bias + c + b * kBlock));
    }
    StoreBlock(sums[b], y + c + b * kBlock);
  }
}

// Fewer channels than a block has.
inline void SumFew(const WindowTaps& taps, const float* bias, size_t n,
                   float* y) {
  float sums[kBlock] = {};
  for (size_t i = 0; i < taps.rows; ++i) {
    for (size_t j = 0; j < taps.columns; ++j) {
      const float* x = taps.x + i * taps.x_row + j * taps.x_column;
      const float* weight =
          taps.weight + i * taps.weight_row + j * taps.weight_column;
      for (size_t c = 0; c < n; ++c) sums[c] += x[c] * weight[c];
    }
  }
  for (size_t c = 0; c < n && bias != nullptr; ++c) sums[c] += bias[c];
  std::memcpy(y, sums, n * sizeof(float));
}

inline void SumWindow(const WindowTaps& taps, const float* bias, size_t n,
                      float* y) {
  if (n < kBlock) return SumFew(taps, bias, n, y);
  // As many as there are registers for.
  constexpr size_t kAtOnce = std::max<size_t>(1, kLanes / 4);
  size_t c = 0;
  for (; c + kAtOnce * kBlock <= n; c += kAtOnce * kBlock) {
    SumBlocks<kAtOnce>(taps, bias, c, y);
  }
  for (; c + kBlock <= n; c += kBlock) SumBlocks<1>(taps, bias, c, y);
  // The last ones once more.
  if (c < n) SumBlocks<1>(taps, bias, n - kBlock, y);
}

}  // namespace lutra::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LUTRA_KERNELS_VECTOR_WINDOW_INL_H_
