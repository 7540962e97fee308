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
// Clamped first, by bounds that the compiler does not know: otherwise it makes
// a branch of each.
inline float RoundToEven(float x, float low, float high) {
  const float above = x < low ? low : x;
  return RoundToEven(above > high ? high : above);
}

}  // namespace lutra

#endif  // LUTRA_KERNELS_BASE_ROUND_H_
