#ifndef LUTRA_KERNELS_FORMAT_SCALE_TYPES_H_
#define LUTRA_KERNELS_FORMAT_SCALE_TYPES_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/base/half.h"
#include "lutra/kernels/lut_matrix.h"

// Scales and offsets as a blob stores them, rounded to nearest even.

namespace lutra::kernels {

// Scale number `i` of an array of `type` at `scales`.
inline float LoadScale(ScaleType type, const uint8_t* scales, size_t i) {
  if (type == ScaleType::kFloat32) {
    float value;
    std::memcpy(&value, scales + i * sizeof(value), sizeof(value));
    return value;
  }
  uint16_t value;
  std::memcpy(&value, scales + i * sizeof(value), sizeof(value));
  return type == ScaleType::kBFloat16 ? FloatFromBFloat16(value)
                                      : FloatFromFloat16(value);
}

// What a number that a blob stores counts as in products: 0 if it is subnormal.
// Decided by its bits, as arithmetic with subnormals is what is to be avoided.
inline float NormalOrZero(float value) {
  constexpr uint32_t kExponent = 0x7F800000;
  return (std::bit_cast<uint32_t>(value) & kExponent) == 0 ? 0.0f : value;
}

inline void StoreScale(ScaleType type, float value, uint8_t* scales, size_t i) {
  if (type == ScaleType::kFloat32) {
    std::memcpy(scales + i * sizeof(value), &value, sizeof(value));
    return;
  }
  const uint16_t stored = type == ScaleType::kBFloat16
                              ? BFloat16FromFloat(value)
                              : Float16FromFloat(value);
  std::memcpy(scales + i * sizeof(stored), &stored, sizeof(stored));
}

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_FORMAT_SCALE_TYPES_H_
