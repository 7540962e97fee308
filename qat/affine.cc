#include "lutra/qat/affine.h"

#include <algorithm>

#include "qat/rounding.h"

namespace lutra::qat {
namespace {

float Mid(AffineBounds bounds) {
  return static_cast<float>(bounds.hi + bounds.lo + 1) / 2.0f;
}

}  // namespace

AffineBounds SignedBounds(int bits) {
  const int half = 1 << (bits - 1);
  return {-half, half - 1};
}

AffineBounds UnsignedBounds(int bits) { return {0, (1 << bits) - 1}; }

AffineParameters ChooseAffine(AffineMapping mapping, float min, float max,
                              AffineBounds bounds, float eps) {
  const float mn = std::min(min, 0.0f);
  const float mx = std::max(max, 0.0f);
  const auto lo = static_cast<float>(bounds.lo);
  const auto hi = static_cast<float>(bounds.hi);
  const auto symmetric_zero =
      static_cast<float>((bounds.hi + bounds.lo + 1) / 2);
  const auto asymmetric = [&](float low, float high) {
    const float scale = std::max((high - low) / (hi - lo), eps);
    const float zero_point = lo - RoundHalfEven(low / scale);
    return AffineParameters{scale, std::clamp(zero_point, lo, hi)};
  };
  switch (mapping) {
    case AffineMapping::kSymmetric:
      return {std::max(std::max(-mn, mx) / ((hi - lo) / 2.0f), eps),
              symmetric_zero};
    case AffineMapping::kSymmetricNoClipping:
      return {std::max(std::max(mn / lo, mx / hi), eps), symmetric_zero};
    case AffineMapping::kAsymmetric:
      return asymmetric(mn, mx);
    case AffineMapping::kAsymmetricNoZero:
      return asymmetric(min, max);
    case AffineMapping::kFloatZeroPoint:
      break;
  }
  const float scale = std::max((max - min) / (hi - lo), eps);
  return {scale, min + scale * Mid(bounds)};
}

AffineCode::AffineCode(const AffineParameters& parameters, AffineBounds bounds,
                       bool float_zero_point)
    : scale_(parameters.scale),
      inverse_(1.0f / parameters.scale),
      zero_point_(parameters.zero_point),
      mid_(Mid(bounds)),
      base_(parameters.zero_point - parameters.scale * Mid(bounds)),
      lo_(static_cast<float>(bounds.lo)),
      hi_(static_cast<float>(bounds.hi)),
      float_zero_point_(float_zero_point) {}

float AffineCode::Raw(float x) const {
  return float_zero_point_ ? RoundHalfEven((x - base_) / scale_)
                           : RoundHalfEven(x * inverse_) + zero_point_;
}

float AffineCode::Dequantize(float k) const {
  return float_zero_point_ ? (k - mid_) * scale_ + zero_point_
                           : (k - zero_point_) * scale_;
}

}  // namespace lutra::qat
