#ifndef LUTRA_KERNELS_ATTENTION_INTEGER_ROW_H_
#define LUTRA_KERNELS_ATTENTION_INTEGER_ROW_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace lutra::kernels {

// How a row of floats becomes integers from -limit to limit: those nearest to
// multiples of a scale.
struct IntegerRow {
  IntegerRow(float largest, bool finite, int limit)
      // The smallest scale keeps the inverse finite.
      : scale(finite ? std::max(largest / static_cast<float>(limit), 0x1p-126f)
                     : std::numeric_limits<float>::quiet_NaN()),
        inverse(1.0f / scale),
        most(static_cast<float>(limit)) {}

  static IntegerRow Of(const float* x, size_t n, int limit) {
    float largest = 0.0f;
    bool finite = true;
    for (size_t i = 0; i < n; ++i) {
      largest = std::max(largest, std::fabs(x[i]));
      finite &= std::isfinite(x[i]);
    }
    return {largest, finite, limit};
  }

  int Quantize(float x) const {
    if (std::isnan(scale)) return 0;
    return static_cast<int>(
        std::nearbyint(std::clamp(x * inverse, -most, most)));
  }

  float scale;
  float inverse;
  float most;
};

// Of keys and values that CacheType::kInt8 keeps, of the weights of its values,
// and of queries, so that their sums of products fit 32 bits.
inline constexpr int kCachedLimit = 127;
inline constexpr int kWeightLimit = 32767;
inline int QueryLimit(size_t head_dim) {
  return static_cast<int>(
      std::clamp<size_t>(size_t{0x7FFFFFFF} / 128 / head_dim, 1, 32767));
}

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_ATTENTION_INTEGER_ROW_H_
