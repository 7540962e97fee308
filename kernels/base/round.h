#ifndef LUTRA_KERNELS_BASE_ROUND_H_
#define LUTRA_KERNELS_BASE_ROUND_H_

namespace lutra {

// The nearest integer, of two the even one, as std::nearbyint, which compilers
// do not turn into vectors everywhere. Of magnitudes below 2^22; NaN stays NaN.
inline float RoundToEven(float x) {
  constexpr float kMagic = 0x1.8p23f;
  return (x + kMagic) - kMagic;
}

// The same, clamped to integers low <= high of magnitudes below 2^20, of any x.
inline float RoundToEven(float x, float low, float high) {
  constexpr float kFar = 0x1p20f;  // far beyond both
  const float above = x < -kFar ? -kFar : x;
  const float level = RoundToEven(above > kFar ? kFar : above);
  const float bounded = level < low ? low : level;
  return bounded > high ? high : bounded;
}

}  // namespace lutra

#endif  // LUTRA_KERNELS_BASE_ROUND_H_
