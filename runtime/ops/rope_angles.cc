#include "lutra/runtime/rope_angles.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace lutra {
namespace {

Direction Rounded(double cosine, double sine) {
  return {static_cast<float>(cosine), static_cast<float>(sine)};
}

}  // namespace

Direction DirectionOf(float place, float frequency) {
  const double angle = place * frequency;
  constexpr double kLimit = 1e15;  // also refuses infinities and NaNs
  if (!(std::abs(angle) < kLimit)) {
    constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
    return {kNaN, kNaN};
  }
  // angle = n * pi/2 + r, |r| <= pi/4. Pi/2 in parts: the first two have 33
  // bits, so that n times them is exact.
  constexpr double kPart1 = 1.57079632673412561417;
  constexpr double kPart2 = 6.07710050630396597660e-11;
  constexpr double kPart3 = 2.02226624879595063154e-21;
  const double n = std::floor(angle * 0.63661977236758134308 + 0.5);
  const double r = ((angle - n * kPart1) - n * kPart2) - n * kPart3;
  const double square = r * r;
  // Taylor series; the first terms left out are below 1e-15.
  double sine = 1.0;
  for (const double term : {210.0, 156.0, 110.0, 72.0, 42.0, 20.0, 6.0}) {
    sine = 1.0 - sine * (square / term);
  }
  sine *= r;
  double cosine = 1.0;
  for (const double term : {182.0, 132.0, 90.0, 56.0, 30.0, 12.0, 2.0}) {
    cosine = 1.0 - cosine * (square / term);
  }
  switch (static_cast<int64_t>(n) & 3) {
    case 0:
      return Rounded(cosine, sine);
    case 1:
      return Rounded(-sine, cosine);
    case 2:
      return Rounded(-cosine, -sine);
    default:
      return Rounded(sine, -cosine);
  }
}

RopeAngles::RopeAngles(const float* frequencies, size_t count, float scale)
    : frequencies_(frequencies), count_(count), scale_(scale) {}

void RopeAngles::Prepare(size_t m) {
  const size_t size = std::max(cosines_.size(), m * count_);
  cosines_.resize(size);
  sines_.resize(size);
}

void RopeAngles::Update(const Call& call) {
  if (call.id == call_) return;
  for (size_t row = 0; row < call.rows.size(); ++row) {
    const float place = static_cast<float>(call.rows[row].position);
    for (size_t i = 0; i < count_; ++i) {
      const Direction direction = DirectionOf(place, frequencies_[i]);
      cosines_[row * count_ + i] = direction.cosine * scale_;
      sines_[row * count_ + i] = direction.sine * scale_;
    }
  }
  call_ = call.id;
}

}  // namespace lutra
