#ifndef LUTRA_QAT_GRIDS_SMALL_FLOAT_H_
#define LUTRA_QAT_GRIDS_SMALL_FLOAT_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "qat/grids/rounding.h"

namespace lutra::qat {

// Floats of a few bits, as the Open Compute Project defines them (Microscaling
// Formats 1.0 and FP8 1.0): a sign, an exponent, a mantissa, and below the
// smallest normal number equal steps to 0.
struct SmallFloat {
  int bits;
  int mantissa_bits;
  int least_exponent;  // of the smallest normal number, a power of two
  float largest;

  int GreatestExponent() const { return std::ilogb(largest); }
  // The step between numbers as large as x.
  float StepAt(float x) const {
    const int exponent =
        x == 0.0f ? least_exponent : std::max(std::ilogb(x), least_exponent);
    return std::ldexp(1.0f, exponent - mantissa_bits);
  }
  // The nearest of the numbers, of two the one with an even mantissa; beyond
  // the largest, that.
  float Round(float x) const {
    const float size = std::min(std::fabs(x), largest);
    const float step = StepAt(size);
    return std::copysign(std::min(RoundHalfEven(size / step) * step, largest),
                         x);
  }
  // The next larger one; x is one of the numbers, 0 or more and not the
  // largest.
  float Above(float x) const { return x + StepAt(x); }

  // All of them, ascending; one zero.
  std::vector<float> Levels() const {
    std::vector<float> levels{0.0f};
    while (levels.back() < largest) levels.push_back(Above(levels.back()));
    const size_t count = levels.size();
    for (size_t i = 1; i < count; ++i) levels.push_back(-levels[i]);
    std::sort(levels.begin(), levels.end());
    return levels;
  }
};

inline constexpr SmallFloat kE2M1{4, 1, 0, 6.0f};
inline constexpr SmallFloat kE2M3{6, 3, 0, 7.5f};
inline constexpr SmallFloat kE3M2{6, 2, -2, 28.0f};
inline constexpr SmallFloat kE4M3{8, 3, -6, 448.0f};
inline constexpr SmallFloat kE5M2{8, 2, -14, 57344.0f};
// The int8 of Microscaling Formats, whole numbers in units of 2^-6: floats of
// equal steps.
inline constexpr SmallFloat kE1M6{8, 6, 0, 1.984375f};

}  // namespace lutra::qat

#endif  // LUTRA_QAT_GRIDS_SMALL_FLOAT_H_
