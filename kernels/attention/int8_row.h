#ifndef LUTRA_KERNELS_ATTENTION_INT8_ROW_H_
#define LUTRA_KERNELS_ATTENTION_INT8_ROW_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace lutra::kernels {

// Keys or values of a token and head as CacheType::kInt8 keeps them.
struct Int8Row {
  Int8Row(const float* x, size_t n) {
    float largest = 0.0f;
    bool finite = true;
    for (size_t i = 0; i < n; ++i) {
      largest = std::max(largest, std::fabs(x[i]));
      finite &= std::isfinite(x[i]);
    }
    // The smallest scale keeps the inverse finite.
    scale = finite ? std::max(largest / 127.0f, 0x1p-126f)
                   : std::numeric_limits<float>::quiet_NaN();
    inverse = 1.0f / scale;
  }

  int8_t Quantize(float x) const {
    if (std::isnan(scale)) return 0;
    return static_cast<int8_t>(
        std::nearbyint(std::clamp(x * inverse, -127.0f, 127.0f)));
  }

  float scale;
  float inverse;
};

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_ATTENTION_INT8_ROW_H_
