#ifndef LUTRA_KERNELS_BASE_FLOAT8_H_
#define LUTRA_KERNELS_BASE_FLOAT8_H_

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/base/half.h"

// 8-bit floats, as the Open Compute Project defines them
// (Microscaling Formats 1.0 and FP8 1.0). Values to be stored are finite.

namespace lutra {

// Four bits of exponent, three of mantissa: below 2^-6 in steps of 2^-9, 448 at
// most.
inline float FloatFromE4M3(uint8_t stored) {
  const int exponent = stored >> 3 & 15;
  const int mantissa = stored & 7;
  if ((stored & 0x7F) == 0x7F) return std::numeric_limits<float>::quiet_NaN();
  const float size =
      exponent == 0
          ? static_cast<float>(mantissa) * 0x1p-9f
          : std::bit_cast<float>((exponent + 120) << 23 | mantissa << 20);
  return (stored & 0x80) != 0 ? -size : size;
}

// To nearest, in the middle to even; above 448 is 448.
inline uint8_t E4M3FromFloat(float value) {
  const float size = std::min(std::abs(value), 448.0f);
  uint32_t stored = 0;
  if (size < 0x1p-6f) {
    stored = static_cast<uint32_t>(std::nearbyint(size * 0x1p9f));
  } else {
    const auto bits = std::bit_cast<uint32_t>(size);
    stored = ((bits + 0x7FFFF + (bits >> 20 & 1)) >> 20) - (120 << 3);
  }
  return static_cast<uint8_t>(stored | (std::signbit(value) ? 0x80 : 0));
}

// Five bits of exponent, two of mantissa: the upper half of a float16. 57344 at
// most; infinities are none that are stored.
inline float FloatFromE5M2(uint8_t stored) {
  return FloatFromFloat16(static_cast<uint16_t>(stored << 8));
}

// Of a number that has these two bits of mantissa at most.
inline uint8_t E5M2FromExactFloat(float value) {
  return static_cast<uint8_t>(Float16FromFloat(value) >> 8);
}

// 2^(stored - 127).
inline float FloatFromE8M0(uint8_t stored) {
  if (stored == 0xFF) return std::numeric_limits<float>::quiet_NaN();
  return stored == 0 ? 0x1p-127f : std::bit_cast<float>(uint32_t{stored} << 23);
}

// To nearest, in the middle to the larger one; what is not positive becomes the
// smallest one.
inline uint8_t E8M0FromFloat(float value) {
  if (value < 0x1.8p-127f) return 0;
  const int exponent = std::ilogb(std::min(value, 0x1p127f) / 1.5f) + 1;
  return static_cast<uint8_t>(exponent + 127);
}

}  // namespace lutra

#endif  // LUTRA_KERNELS_BASE_FLOAT8_H_
