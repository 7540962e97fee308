#ifndef LUTRA_KERNELS_VECTOR_EXP_H_
#define LUTRA_KERNELS_VECTOR_EXP_H_

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

// exp and what is made of it with the same bits on every CPU: multiplications,
// additions and divisions in a fixed order, each rounded, none fused (Highway's
// own exp fuses where the target can). exp-inl.h computes the same in vectors.
//
//   exp:  x = n * ln 2 + r, e^r = 1 + r + r^2 * q(r). Relative error below
//         1e-7; 0 below -87 and infinity above 88, so that nothing is
//         subnormal.
//   silu: max(x, -FLT_MAX) / (1 + e^-x), relative error below 2e-7; -0 below
//         -88, at -infinity too.
//   sigmoid: 1 / (1 + e^-x)
//   tanh: below 0.6 a polynomial, else 1 - 2 / (e^2x + 1), with the sign of x.
//         Relative error below 4e-7.
//   gelu: max(x, -FLT_MAX) * Phi(x). With t = 1 / (1 + 0.3 |x|), Phi(-|x|) is
//         e^(-x^2 / 2) times a polynomial in t. Relative error below 5e-6; -0
//         below -13.2.
//
// The polynomials are minimax fits.

namespace lutra::kernels {

struct ExpConstants {
  static constexpr float kLow = -87.0f;
  static constexpr float kHigh = 88.0f;
  static constexpr float kLog2E = 1.44269504f;
  // Adding 1.5 * 2^23 rounds to an integer, left in the low bits.
  static constexpr float kMagic = 12582912.0f;
  // ln 2 in two parts; the first has 10 bits, so that its multiples are exact.
  static constexpr float kLn2High = 0.693359375f;
  static constexpr float kLn2Low = -2.12194440e-4f;
  static constexpr float kQ[5] = {0.5f, 0.1666651815f, 0.04166620597f,
                                  0.008368954062f, 0.001395059982f};
};

struct GeluConstants {
  static constexpr float kSlope = 0.3f;
  // Coefficients of t to t^8.
  static constexpr float kTail[8] = {
      0.1196232587f,   0.1208455488f, 0.09934700280f, 0.1304168999f,
      -0.05716827512f, 0.2101194710f, -0.1593789905f, 0.03619502857f};
};

struct GeluTanhConstants {
  // -2 sqrt(2 / pi), and that times 0.044715.
  static constexpr float kLinear = -1.595769121606f;
  static constexpr float kCubic = -0.0713548162726f;
};

struct TanhConstants {
  // Up to here the polynomial is used, (tanh x - x) / x^3 in x^2.
  static constexpr float kSmall = 0.6f;
  static constexpr float kTail[5] = {-0.333333303327f, 0.13332915367f,
                                     -0.0538739488486f, 0.0211109590495f,
                                     -0.00626911971965f};
};

inline float Exp(float x) {
  using C = ExpConstants;
  if (x < C::kLow) return 0.0f;
  if (x > C::kHigh) return std::numeric_limits<float>::infinity();
  const float shifted = x * C::kLog2E + C::kMagic;
  const float n = shifted - C::kMagic;
  const float r = (x - n * C::kLn2High) - n * C::kLn2Low;
  float q = C::kQ[4];
  for (int i = 3; i >= 0; --i) q = q * r + C::kQ[i];
  const float e = ((r * r) * q + r) + 1.0f;
  const uint32_t exponent = std::bit_cast<uint32_t>(shifted) << 23;
  return e * std::bit_cast<float>(exponent + std::bit_cast<uint32_t>(1.0f));
}

inline float Sigmoid(float x) { return 1.0f / (1.0f + Exp(-x)); }

inline float Tanh(float x) {
  using C = TanhConstants;
  const float magnitude = std::fabs(x);
  const float square = x * x;
  float p = C::kTail[4];
  for (int i = 3; i >= 0; --i) p = p * square + C::kTail[i];
  const float small = x + (x * square) * p;
  const float large = 1.0f - 2.0f / (Exp(magnitude + magnitude) + 1.0f);
  return magnitude < C::kSmall ? small : std::copysign(large, x);
}

// x as a factor of a product whose other factor goes to 0 faster than x to
// -infinity; a NaN is then in the other factor.
inline float AboveInfinity(float x) {
  return std::max(x, std::numeric_limits<float>::lowest());
}

inline float Silu(float x) { return AboveInfinity(x) / (1.0f + Exp(-x)); }

inline float GeluTanh(float x) {
  using C = GeluTanhConstants;
  return AboveInfinity(x) /
         (1.0f + Exp(x * (C::kLinear + C::kCubic * (x * x))));
}

inline float Relu2(float x) {
  const float positive = x < 0.0f ? 0.0f : x;
  return positive * positive;
}

inline float Gelu(float x) {
  using C = GeluConstants;
  const float t = 1.0f / (1.0f + C::kSlope * std::fabs(x));
  float p = C::kTail[7];
  for (int i = 6; i >= 0; --i) p = p * t + C::kTail[i];
  const float tail = (p * t) * Exp((x * x) * -0.5f);
  return AboveInfinity(x) * (x < 0.0f ? tail : 1.0f - tail);
}

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_VECTOR_EXP_H_
