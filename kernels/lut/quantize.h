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
  int32_t low = 0;  // smallest value, the largest is 127

  int32_t Quantize(float x) const {
    const float rounded =
        std::nearbyint(std::clamp(x * inverse, static_cast<float>(low - zero),
                                  static_cast<float>(127 - zero)));
    return static_cast<int32_t>(rounded) + zero;
  }
};

// `min` <= 0 <= `max` is the range of the values of a token, or of one group of
// it.
inline TokenScale MakeTokenScale(ActivationType type, float min, float max) {
  TokenScale t;
  if (!Traits(type).has_zero_point) {
    t.scale = std::max(std::max(max, -min) / 127.0f, 0x1p-126f);
    t.low = -127;
  } else {
    t.scale = std::max((max - min) / 255.0f, 0x1p-126f);
    t.low = -128;
    t.zero = std::clamp(
        -128 - static_cast<int32_t>(std::nearbyint(min / t.scale)), -128, 127);
  }
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
  return MakeTokenScale(type, arguments.range_min, arguments.range_max);
}

// For a token that holds an infinity or a NaN: all values 0, all outputs NaN.
inline TokenScale NonFiniteTokenScale() {
  TokenScale t;
  t.scale = std::numeric_limits<float>::quiet_NaN();
  return t;
}

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_LUT_QUANTIZE_H_
