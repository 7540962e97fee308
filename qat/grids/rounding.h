#ifndef LUTRA_QAT_GRIDS_ROUNDING_H_
#define LUTRA_QAT_GRIDS_ROUNDING_H_

#include <bit>
#include <cmath>
#include <cstdint>

namespace lutra::qat {

// Round to nearest, ties to even, by letting the addition round. Unlike
// std::nearbyint it vectorises on every CPU. Relies on the default rounding
// mode.
inline float RoundHalfEven(float x) {
  constexpr float kTwo23 = 8388608.0f;  // from here on floats are integers
  const float magnitude = std::fabs(x);
  const float rounded = std::copysign((magnitude + kTwo23) - kTwo23, x);
  return magnitude < kTwo23 ? rounded : x;
}

// The same for |x| <= 2^22, at a third of the cost.
inline float RoundHalfEvenSmall(float x) {
  constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23
  return (x + kMagic) - kMagic;
}

// In [0, 1), a multiple of 2^-24: the same for the same key and x, and for
// others as if drawn anew (the mixing of MurmurHash3). So what is rounded at
// random does not depend on the order in which threads come to it.
inline float RandomUnit(uint32_t key, float x) {
  uint32_t h = std::bit_cast<uint32_t>(x) * 0x9E3779B1u ^ key;
  h = (h ^ h >> 16) * 0x85EBCA6Bu;
  h = (h ^ h >> 13) * 0xC2B2AE35u;
  return static_cast<float>((h ^ h >> 16) >> 8) * 0x1p-24f;
}

// Keys of the steps of a run.
inline uint32_t RandomKey(uint64_t seed, uint64_t step) {
  const uint64_t mixed =
      (seed ^ step * 0x9E3779B97F4A7C15u) * 0xBF58476D1CE4E5B9u;
  return static_cast<uint32_t>(mixed >> 32);
}

}  // namespace lutra::qat

#endif  // LUTRA_QAT_GRIDS_ROUNDING_H_
