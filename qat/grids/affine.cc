#include "lutra/qat/affine.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "kernels/base/half.h"
#include "qat/grids/rounding.h"

namespace lutra::qat {
namespace {

float Mid(AffineBounds bounds) {
  return static_cast<float>(bounds.hi + bounds.lo + 1) / 2.0f;
}

float FinishScale(const AffineScheme& scheme, float scale) {
  return RoundScale(scheme.scale_type, std::max(scale, scheme.eps));
}

float Round(Rounding rounding, float x) {
  switch (rounding) {
    case Rounding::kHalfEven:
    case Rounding::kStochastic:
      return RoundHalfEven(x);
    case Rounding::kHalfAway:
      return std::round(x);
    case Rounding::kFloor:
      break;
  }
  return std::floor(x);
}

}  // namespace

float RoundScale(ScaleType type, float scale) {
  switch (type) {
    case ScaleType::kFloat:
    case ScaleType::kTwoLevels:
      break;
    case ScaleType::kPowerOfTwo: {
      int exponent = 0;
      const float mantissa = std::frexp(scale, &exponent);  // in [0.5, 1)
      return mantissa == 0.5f ? scale : std::ldexp(1.0f, exponent);
    }
    case ScaleType::kBFloat16:
      return RoundToBFloat16(scale);
    case ScaleType::kFloat16: {
      const float rounded = RoundToFloat16(scale);
      return std::isfinite(rounded) ? rounded : scale;
    }
  }
  return scale;
}

float ZeroIfTiny(float scale) { return scale > kTinyScale ? scale : 0.0f; }

AffineBounds SignedBounds(int bits) {
  const int half = 1 << (bits - 1);
  return {-half, half - 1};
}

AffineBounds UnsignedBounds(int bits) { return {0, (1 << bits) - 1}; }

AffineParameters ChooseAffine(const AffineScheme& scheme, float min,
                              float max) {
  const float mn = std::min(min, 0.0f);
  const float mx = std::max(max, 0.0f);
  const AffineBounds& bounds = scheme.bounds;
  const auto lo = static_cast<float>(bounds.lo);
  const auto hi = static_cast<float>(bounds.hi);
  const auto symmetric_zero =
      static_cast<float>((bounds.hi + bounds.lo + 1) / 2);
  const auto asymmetric = [&](float low, float high) {
    const float scale = FinishScale(scheme, (high - low) / (hi - lo));
    const float zero_point = lo - RoundHalfEven(low / scale);
    return AffineParameters{scale, std::clamp(zero_point, lo, hi)};
  };
  switch (scheme.mapping) {
    case AffineMapping::kSymmetric:
      return {FinishScale(scheme, std::max(-mn, mx) / ((hi - lo) / 2.0f)),
              symmetric_zero};
    case AffineMapping::kSymmetricNoClipping:
      return {FinishScale(scheme, std::max(mn / lo, mx / hi)), symmetric_zero};
    case AffineMapping::kAsymmetric:
      return asymmetric(mn, mx);
    case AffineMapping::kAsymmetricNoZero:
      return asymmetric(min, max);
    case AffineMapping::kFloatZeroPoint:
      break;
  }
  const float scale = FinishScale(scheme, (max - min) / (hi - lo));
  return {scale, min + scale * Mid(bounds)};
}

AffineCode::AffineCode(const AffineParameters& parameters,
                       const AffineScheme& scheme)
    : scale_(parameters.scale),
      inverse_(1.0f / parameters.scale),
      zero_point_(parameters.zero_point),
      mid_(Mid(scheme.bounds)),
      base_(parameters.zero_point - parameters.scale * mid_),
      lo_(static_cast<float>(scheme.bounds.lo)),
      hi_(static_cast<float>(scheme.bounds.hi)),
      float_zero_point_(scheme.FloatZeroPoint()),
      rounding_(scheme.rounding) {}

inline float AffineCode::RawWith(bool float_zero_point, Rounding rounding,
                                 float x) const {
  return float_zero_point ? Round(rounding, (x - base_) / scale_)
                          : Round(rounding, x * inverse_) + zero_point_;
}

inline float AffineCode::DequantizeWith(bool float_zero_point, float k) const {
  return float_zero_point ? (k - mid_) * scale_ + zero_point_
                          : (k - zero_point_) * scale_;
}

float AffineCode::Raw(float x) const {
  return RawWith(float_zero_point_, rounding_, x);
}

float AffineCode::RawAt(float x, float draw) const {
  return float_zero_point_ ? std::floor((x - base_) / scale_ + draw)
                           : std::floor(x * inverse_ + draw) + zero_point_;
}

float AffineCode::Dequantize(float k) const {
  return DequantizeWith(float_zero_point_, k);
}

template <Rounding kRounding>
void AffineCode::FakeQuantizeAs(const float* x, size_t n, float* y) const {
  const AffineCode code = *this;  // what is written cannot change it
  const auto run = [&](auto float_zero_point) {
    for (size_t i = 0; i < n; ++i) {
      const float raw = code.RawWith(float_zero_point, kRounding, x[i]);
      y[i] = code.DequantizeWith(float_zero_point, code.Clip(raw));
    }
  };
  if (float_zero_point_) {
    run(std::true_type());
  } else {
    run(std::false_type());
  }
}

void AffineCode::FakeQuantize(const float* x, size_t n, float* y) const {
  switch (rounding_) {
    case Rounding::kHalfEven:
    case Rounding::kStochastic:
      return FakeQuantizeAs<Rounding::kHalfEven>(x, n, y);
    case Rounding::kHalfAway:
      return FakeQuantizeAs<Rounding::kHalfAway>(x, n, y);
    case Rounding::kFloor:
      return FakeQuantizeAs<Rounding::kFloor>(x, n, y);
  }
}

}  // namespace lutra::qat
