#ifndef LUTRA_QAT_GRIDS_ROUNDING_H_
#define LUTRA_QAT_GRIDS_ROUNDING_H_

#include <cmath>

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

}  // namespace lutra::qat

#endif  // LUTRA_QAT_GRIDS_ROUNDING_H_
