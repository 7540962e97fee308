#ifndef LUTRA_KERNELS_LUT_QUANTIZE_H_
#define LUTRA_KERNELS_LUT_QUANTIZE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "lutra/kernels/gemm.h"

// The scalar definition of activation quantization, see gemm.h.

namespace lutra::kernels {

struct TokenScale {
  float scale = 0;
  float inverse = 0;  // 1 / scale
  int32_t zero = 0;
  int32_t low = 0;  // smallest and largest value
  int32_t high = 127;

  int32_t Quantize(float x) const {
    const float rounded =
        std::nearbyint(std::clamp(x * inverse, static_cast<float>(low - zero),
                                  static_cast<float>(high - zero)));
    return static_cast<int32_t>(rounded) + zero;
  }
};

// `min` <= 0 <= `max` is the range of the values of a token, or of one group of
// it.
inline TokenScale MakeTokenScale(ActivationType type, float min, float max,
                                 int bits = 8) {
  const int32_t high = (1 << (bits - 1)) - 1;
  TokenScale t;
  if (!Traits(type).has_zero_point) {
    t.low = -high;
    t.scale =
        std::max(std::max(max, -min) / static_cast<float>(high), 0x1p-126f);
  } else {
    t.low = -high - 1;
    t.scale =
        std::max((max - min) / static_cast<float>(high - t.low), 0x1p-126f);
    t.zero =
        std::clamp(t.low - static_cast<int32_t>(std::nearbyint(min / t.scale)),
                   t.low, high);
  }
  t.high = high;
  t.inverse = 1.0f / t.scale;
  return t;
}

// What a fixed range puts in the place of that of a token whose values are
// finite.
inline TokenScale WithRange(const GemmArguments& arguments, ActivationType type,
                            const TokenScale& own) {
  if (!arguments.HasRange() || Traits(type).has_group_scales ||
      std::isnan(own.scale)) {
    return own;
  }
  return MakeTokenScale(type, arguments.range_min, arguments.range_max,
                        arguments.activation_bits);
}

// For a token that holds an infinity or a NaN: all values 0, all outputs NaN.
inline TokenScale NonFiniteTokenScale() {
  TokenScale t;
  t.scale = std::numeric_limits<float>::quiet_NaN();
  return t;
}

inline TokenScale TokenScaleOf(ActivationType type, const float* x, size_t k,
                               int bits) {
  float min = 0;
  float max = 0;
  for (size_t i = 0; i < k; ++i) {
    if (!std::isfinite(x[i])) return NonFiniteTokenScale();
    min = std::min(min, x[i]);
    max = std::max(max, x[i]);
  }
  return MakeTokenScale(type, min, max, bits);
}

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_LUT_QUANTIZE_H_
