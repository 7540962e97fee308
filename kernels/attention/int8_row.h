#ifndef LUTRA_KERNELS_ATTENTION_INT8_ROW_H_
#define LUTRA_KERNELS_ATTENTION_INT8_ROW_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace lutra::kernels {

// Keys or values of a token and head as CacheType::kInt8 keeps them.
struct Int8Row {
  // The smallest scale keeps the inverse finite.
  Int8Row(const float* x, size_t n) {
    float largest = 0.0f;
    for (size_t i = 0; i < n; ++i) {
      largest = std::max(largest, std::fabs(x[i]));
    }
    scale = std::max(largest / 127.0f, 0x1p-126f);
    inverse = 1.0f / scale;
  }

  int8_t Quantize(float x) const {
    const float scaled = std::clamp(x * inverse, -127.0f, 127.0f);
    // A row with an infinity or a NaN is lost in any case.
    return std::isnan(scaled) ? int8_t{0}
                              : static_cast<int8_t>(std::nearbyint(scaled));
  }

  float scale;
  float inverse;
};

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_ATTENTION_INT8_ROW_H_
