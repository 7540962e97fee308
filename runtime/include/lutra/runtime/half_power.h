#ifndef LUTRA_RUNTIME_HALF_POWER_H_
#define LUTRA_RUNTIME_HALF_POWER_H_

#include <cmath>

namespace lutra {

// x to the power of twice_exponent / 2, from operations that every CPU rounds
// in the same way: 1 times x, as often as the whole part of the exponent's
// magnitude says, times the square root of x if there is a half; of a negative
// exponent 1 divided by that.
inline float HalfPower(float x, int twice_exponent) {
  const int twice = twice_exponent < 0 ? -twice_exponent : twice_exponent;
  float power = 1.0f;
  for (int i = 0; i < twice / 2; ++i) power *= x;
  if (twice % 2 != 0) power *= std::sqrt(x);
  return twice_exponent < 0 ? 1.0f / power : power;
}

}  // namespace lutra

#endif  // LUTRA_RUNTIME_HALF_POWER_H_
