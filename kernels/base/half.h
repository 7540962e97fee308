#ifndef LUTRA_KERNELS_BASE_HALF_H_
#define LUTRA_KERNELS_BASE_HALF_H_

#include <bit>
#include <cstdint>

// 16-bit floats by integer arithmetic, the same bits on every machine: IEEE 754
// binary16 and bfloat16 (the upper half of a float). Rounding is to nearest
// even; a NaN stays one.

namespace lutra {

inline uint16_t BFloat16FromFloat(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFF) > 0x7F800000) {  // keep a NaN one
    return static_cast<uint16_t>((bits >> 16) | 0x40);
  }
  return static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

inline float FloatFromBFloat16(uint16_t value) {
  return std::bit_cast<float>(static_cast<uint32_t>(value) << 16);
}

inline float RoundToBFloat16(float value) {
  return FloatFromBFloat16(BFloat16FromFloat(value));
}

inline uint16_t Float16FromFloat(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000;
  const uint32_t magnitude = bits & 0x7FFFFFFF;
  uint32_t half;
  if (magnitude > 0x7F800000) {
    half = 0x7E00;
  } else if (magnitude >= 0x477FF000) {  // 65520 and above round to infinity
    half = 0x7C00;
  } else if (magnitude < 0x38800000) {
    // Below the smallest normal half. Adding 0.5 leaves the value's multiple of
    // 2^-24, rounded to even by the addition, in the low bits of the mantissa.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    half = std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(0.5f);
  } else {
    const uint32_t rebiased = magnitude - (uint32_t{127 - 15} << 23);
    half = (rebiased + 0xFFF + ((rebiased >> 13) & 1)) >> 13;
  }
  return static_cast<uint16_t>(sign | half);
}

inline float FloatFromFloat16(uint16_t value) {
  const uint32_t sign = static_cast<uint32_t>(value & 0x8000) << 16;
  const uint32_t exponent = (value >> 10) & 0x1F;
  const uint32_t mantissa = value & 0x3FF;
  uint32_t magnitude;
  if (exponent == 0) {  // mantissa * 2^-24, exact
    magnitude =
        std::bit_cast<uint32_t>(static_cast<float>(mantissa) * 0x1p-24f);
  } else if (exponent == 31) {
    magnitude = 0x7F800000 | (mantissa << 13);
  } else {
    magnitude = ((exponent + 127 - 15) << 23) | (mantissa << 13);
  }
  return std::bit_cast<float>(sign | magnitude);
}

inline float RoundToFloat16(float value) {
  return FloatFromFloat16(Float16FromFloat(value));
}

}  // namespace lutra

#endif  // LUTRA_KERNELS_BASE_HALF_H_
