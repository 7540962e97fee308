#ifndef LUTRA_QAT_AFFINE_H_
#define LUTRA_QAT_AFFINE_H_

#include <cstddef>
#include <limits>

// Affine quantization as torchao defines it: integers k in [lo, hi] with a
// scale and a zero point per group of values. rne rounds to nearest, ties to
// even; all arithmetic is float32, each operation rounded once.

namespace lutra::qat {

enum class AffineMapping {
  kSymmetric,            // scale = max|p| / ((hi - lo) / 2)
  kSymmetricNoClipping,  // scale = max(mn / lo, mx / hi)
  kAsymmetric,           // scale = (mx - mn) / (hi - lo), 0 representable
  // The same with the true minimum and maximum of p, 0 not included.
  kAsymmetricNoZero,
  // True minimum and maximum with a zero point in units of p ("tinygemm").
  kFloatZeroPoint,
};

// Bounds of the integers.
struct AffineBounds {
  int lo = 0;
  int hi = 0;
};
// [-2^(bits-1), 2^(bits-1) - 1], or [0, 2^bits - 1].
AffineBounds SignedBounds(int bits);
AffineBounds UnsignedBounds(int bits);

enum class Rounding {
  kHalfEven,
  kHalfAway,
  kFloor,
  // Up or down, with the chances that make the mean the value itself, in
  // training (FakeQuantizer); where there is no chance to be had, half-even.
  kStochastic,
};

enum class ScaleType {
  kFloat,
  kPowerOfTwo,  // the next power of two, so that nothing clips that did not
  kBFloat16,    // the nearest number of that type
  kFloat16,     // likewise; above 65504, where there is none, float
  // In packed files an int8 number for a group times a number for 256 columns,
  // which is chosen when it is packed. Until then float.
  kTwoLevels,
};
// `scale` as a number of that type.
float RoundScale(ScaleType type, float scale);

// The smallest normal float: the usual floor of a scale.
inline constexpr float kTinyScale = std::numeric_limits<float>::min();
// The floor of tinygemm parameters.
inline constexpr float kTinygemmScale = 1e-6f;

// The scale, or 0 for one of at most kTinyScale, which quantizers give to
// groups of zeros: they are zeros then, and kernels see no subnormal numbers.
float ZeroIfTiny(float scale);

struct AffineScheme {
  AffineMapping mapping = AffineMapping::kSymmetric;
  AffineBounds bounds;
  float eps = kTinyScale;  // the smallest scale
  ScaleType scale_type = ScaleType::kFloat;
  Rounding rounding = Rounding::kHalfEven;

  bool FloatZeroPoint() const {
    return mapping == AffineMapping::kFloatZeroPoint;
  }
};

struct AffineParameters {
  float scale = 1.0f;
  float zero_point = 0.0f;  // an integer unless the mapping says otherwise
};

// Parameters for values in [min, max]. With mn = min(min,
// 0) and mx = max(max, 0) the zero point is
//   symmetric            trunc((hi + lo + 1) / 2)
//   asymmetric           clip(lo - rne(mn / scale), lo, hi)
//   float zero point     min + scale * (hi + lo + 1) / 2
AffineParameters ChooseAffine(const AffineScheme& scheme, float min, float max);

// How parameters turn a value into an integer and back.
//   integer zero point  raw = rne(x * (1 / scale)) + zero_point
//                       x' = (k - zero_point) * scale
//   float zero point    raw = rne((x - (zero_point - scale * mid)) / scale)
//                       x' = (k - mid) * scale + zero_point
// with mid = (hi + lo + 1) / 2, k = clip(raw, lo, hi), and rne replaced by the
// scheme's rounding.
class AffineCode {
 public:
  AffineCode(const AffineParameters& parameters, const AffineScheme& scheme);

  float Raw(float x) const;
  // With kStochastic and a number drawn from [0, 1).
  float RawAt(float x, float draw) const;
  float Clip(float raw) const {
    const float low = raw < lo_ ? lo_ : raw;
    return low > hi_ ? hi_ : low;
  }
  float Dequantize(float k) const;
  // The value that x becomes.
  float FakeQuantize(float x) const { return Dequantize(Clip(Raw(x))); }
  // The same for n values, vectorised; y may be x.
  void FakeQuantize(const float* x, size_t n, float* y) const;

  // Whether `raw` was inside the bounds: strictly, or with the end codes.
  bool Inside(float raw, bool closed) const {
    return closed ? raw >= lo_ && raw <= hi_ : raw > lo_ && raw < hi_;
  }

 private:
  // With the choices as arguments, which loops hold constant.
  float RawWith(bool float_zero_point, Rounding rounding, float x) const;
  float DequantizeWith(bool float_zero_point, float k) const;
  template <Rounding kRounding>
  void FakeQuantizeAs(const float* x, size_t n, float* y) const;

  float scale_;
  float inverse_;
  float zero_point_;
  float mid_;
  float base_;
  float lo_;
  float hi_;
  bool float_zero_point_;
  Rounding rounding_;
};

}  // namespace lutra::qat

#endif  // LUTRA_QAT_AFFINE_H_
