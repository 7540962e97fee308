#ifndef LUTRA_KERNELS_FORMAT_SCALE_TYPES_H_
#define LUTRA_KERNELS_FORMAT_SCALE_TYPES_H_

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/base/float8.h"
#include "kernels/base/half.h"
#include "kernels/format/layout.h"
#include "lutra/kernels/lut_matrix.h"

// Scales and offsets as a blob stores them, rounded to nearest even.

namespace lutra::kernels {

// The scale of row `row` of a block whose scales, of `type`, are at `scales`.
inline float LoadScale(ScaleType type, const uint8_t* scales, size_t row) {
  switch (type) {
    case ScaleType::kFloat32: {
      float value;
      std::memcpy(&value, scales + row * sizeof(value), sizeof(value));
      return value;
    }
    case ScaleType::kInt8:
      return static_cast<int8_t>(scales[row]);
    case ScaleType::kUint4: {
      constexpr size_t kHalf = kBlockRows / 2;
      return static_cast<float>(scales[row % kHalf] >> row / kHalf * 4 & 15);
    }
    case ScaleType::kE8M0:
      return FloatFromE8M0(scales[row]);
    case ScaleType::kE4M3:
      return FloatFromE4M3(scales[row]);
    case ScaleType::kBFloat16:
    case ScaleType::kFloat16:
      break;
  }
  uint16_t value;
  std::memcpy(&value, scales + row * sizeof(value), sizeof(value));
  return type == ScaleType::kBFloat16 ? FloatFromBFloat16(value)
                                      : FloatFromFloat16(value);
}

// What a number that a blob stores counts as in products: 0 if it is subnormal.
// Decided by its bits, as arithmetic with subnormals is what is to be avoided.
inline float NormalOrZero(float value) {
  constexpr uint32_t kExponent = 0x7F800000;
  return (std::bit_cast<uint32_t>(value) & kExponent) == 0 ? 0.0f : value;
}

// The inverse, into what was zero there.
inline void StoreScale(ScaleType type, float value, uint8_t* scales,
                       size_t row) {
  const auto integer = [value](float least, float most) {
    return static_cast<int>(std::nearbyint(std::clamp(value, least, most)));
  };
  switch (type) {
    case ScaleType::kFloat32:
      std::memcpy(scales + row * sizeof(value), &value, sizeof(value));
      return;
    case ScaleType::kInt8:
      scales[row] = static_cast<uint8_t>(integer(INT8_MIN, INT8_MAX));
      return;
    case ScaleType::kUint4: {
      constexpr size_t kHalf = kBlockRows / 2;
      uint8_t& two = scales[row % kHalf];
      two = static_cast<uint8_t>(two | integer(0, 15) << row / kHalf * 4);
      return;
    }
    case ScaleType::kE8M0:
      scales[row] = E8M0FromFloat(value);
      return;
    case ScaleType::kE4M3:
      scales[row] = E4M3FromFloat(value);
      return;
    case ScaleType::kBFloat16:
    case ScaleType::kFloat16:
      break;
  }
  const uint16_t stored = type == ScaleType::kBFloat16
                              ? BFloat16FromFloat(value)
                              : Float16FromFloat(value);
  std::memcpy(scales + row * sizeof(stored), &stored, sizeof(stored));
}

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_FORMAT_SCALE_TYPES_H_
