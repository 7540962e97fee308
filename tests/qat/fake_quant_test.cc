#include "lutra/qat/fake_quant.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "lutra/qat/conversion.h"
#include "lutra/runtime/error.h"
#include "tests/qat/random_values.h"

namespace lutra::qat {
namespace {

using Asymmetric = FakeQuantOptions::Asymmetric;
using Ranges = FakeQuantOptions::Ranges;

constexpr size_t kTokens = 6;
constexpr size_t kChannels = 80;

std::vector<float> Forward(FakeQuantizer& quantizer,
                           const std::vector<float>& x, size_t rows = kTokens) {
  std::vector<float> y(x.size());
  quantizer.Forward(x.data(), rows, x.size() / rows, y.data());
  return y;
}

TEST(FakeQuantTest, EqualsConversionAndBack) {
  const auto w = RandomValues(kTokens * kChannels, 1);
  for (const int bits : {2, 3, 4, 8}) {
    for (const int64_t group_size : {0, 32}) {
      FakeQuantOptions options;
      options.bits = bits;
      options.group_size = group_size;
      FakeQuantizer symmetric(options);
      EXPECT_EQ(
          Forward(symmetric, w),
          Dequantize(ConvertAffine(w.data(), kTokens, kChannels, bits,
                                   group_size, AffineMapping::kSymmetric)));
      options.symmetric = false;
      FakeQuantizer asymmetric(options);
      EXPECT_EQ(
          Forward(asymmetric, w),
          Dequantize(ConvertAffine(w.data(), kTokens, kChannels, bits,
                                   group_size, AffineMapping::kAsymmetric)));
    }
  }
}

TEST(FakeQuantTest, ErrorIsAtMostHalfAStepInside) {
  const auto x = RandomValues(kTokens * kChannels, 2);
  FakeQuantizer quantizer(Int8TokenActivations());
  const auto y = Forward(quantizer, x);
  for (size_t i = 0; i < x.size(); ++i) {
    // The zero point is rounded, too, so an end may be half a step off.
    EXPECT_LE(std::fabs(x[i] - y[i]),
              1.01f * quantizer.scales()[i / kChannels]);
  }
}

TEST(FakeQuantTest, OneScaleForTheTensor) {
  const auto x = RandomValues(kTokens * kChannels, 3);
  FakeQuantOptions options;
  options.group_size = kWholeTensor;
  FakeQuantizer quantizer(options);
  Forward(quantizer, x);
  EXPECT_EQ(quantizer.scales().size(), 1u);
}

TEST(FakeQuantTest, StaticRangesAreKept) {
  const auto x = RandomValues(kTokens * kChannels, 4);
  FakeQuantOptions options;
  options.ranges = Ranges::kStatic;
  FakeQuantizer quantizer(options);
  Forward(quantizer, x);
  const auto scales = quantizer.scales();
  Forward(quantizer, RandomValues(kTokens * kChannels, 5, 9.0f));
  EXPECT_EQ(quantizer.scales(), scales);
  const auto wider = RandomValues(2 * kTokens * kChannels, 5);
  EXPECT_THROW(Forward(quantizer, wider, 2 * kTokens), Error);
}

TEST(FakeQuantTest, DisabledItPassesThrough) {
  const auto x = RandomValues(kTokens * kChannels, 6);
  FakeQuantizer quantizer(FakeQuantOptions{});
  quantizer.set_enabled(false);
  EXPECT_EQ(Forward(quantizer, x), x);
  std::vector<float> grad(x.size());
  quantizer.Backward(x.data(), x.data(), kTokens, kChannels, grad.data());
  EXPECT_EQ(grad, x);
}

TEST(FakeQuantTest, PowerOfTwoScalesRoundUp) {
  const auto x = RandomValues(kTokens * kChannels, 7);
  FakeQuantOptions options;
  FakeQuantizer plain(options);
  options.scale_type = ScaleType::kPowerOfTwo;
  FakeQuantizer quantizer(options);
  Forward(plain, x);
  Forward(quantizer, x);
  for (size_t i = 0; i < kTokens; ++i) {
    const float s = quantizer.scales()[i];
    int exponent = 0;
    EXPECT_EQ(std::frexp(s, &exponent), 0.5f);
    EXPECT_GE(s, plain.scales()[i]);
    EXPECT_LT(s, 2.0f * plain.scales()[i]);
  }
}

TEST(AffineCodeTest, RoundsAsAsked) {
  AffineScheme scheme{AffineMapping::kSymmetric, SignedBounds(8)};
  const AffineParameters unit{1.0f, 0.0f};
  const auto raw = [&](Rounding rounding, float x) {
    scheme.rounding = rounding;
    return AffineCode(unit, scheme).Raw(x);
  };
  EXPECT_EQ(raw(Rounding::kHalfEven, 2.5f), 2.0f);
  EXPECT_EQ(raw(Rounding::kHalfAway, 2.5f), 3.0f);
  EXPECT_EQ(raw(Rounding::kHalfAway, -2.5f), -3.0f);
  EXPECT_EQ(raw(Rounding::kFloor, 2.9f), 2.0f);
  EXPECT_EQ(raw(Rounding::kFloor, -0.1f), -1.0f);
}

// Straight through: the gradient of the identity inside, none where values are
// clipped.
TEST(FakeQuantGradientTest, PassesInsideAndStopsOutside) {
  const auto x = RandomValues(kTokens * kChannels, 8);
  FakeQuantOptions options;
  options.bits = 2;
  options.ranges = Ranges::kStatic;
  FakeQuantizer quantizer(options);
  Forward(quantizer, x);
  for (float& scale : quantizer.scales()) scale *= 0.25f;
  const auto g = RandomValues(x.size(), 9);
  std::vector<float> grad(x.size());
  quantizer.Backward(x.data(), g.data(), kTokens, kChannels, grad.data());
  size_t outside = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const float code = std::nearbyint(x[i] / quantizer.scales()[i / kChannels]);
    if (code >= -2.0f && code <= 1.0f) {
      EXPECT_NEAR(grad[i], g[i], 1e-6f * std::fabs(g[i]));
    } else {
      EXPECT_EQ(grad[i], 0.0f);
      ++outside;
    }
  }
  EXPECT_GT(outside, 10u);
}

TEST(FakeQuantGradientTest, OpenIntervalSilencesTheEndCodes) {
  const auto x = RandomValues(kTokens * kChannels, 10);
  const std::vector<float> ones(x.size(), 1.0f);
  const auto silent = [&](bool closed) {
    FakeQuantOptions options;
    options.bits = 2;
    options.closed_interval = closed;
    FakeQuantizer quantizer(options);
    Forward(quantizer, x);
    std::vector<float> grad(x.size());
    quantizer.Backward(x.data(), ones.data(), kTokens, kChannels, grad.data());
    return std::count(grad.begin(), grad.end(), 0.0f);
  };
  EXPECT_LT(silent(true), silent(false));
}

double Loss(FakeQuantizer& quantizer, const std::vector<float>& x,
            const std::vector<float>& g) {
  const auto y = Forward(quantizer, x);
  double sum = 0.0;
  for (size_t i = 0; i < x.size(); ++i) {
    sum += static_cast<double>(y[i]) * static_cast<double>(g[i]);
  }
  return sum;
}

// Where every value is clipped, output = (bound - z) * s: the gradients of
// learned ranges are then exact derivatives.
TEST(FakeQuantGradientTest, LearnedRangesAgreeWithFiniteDifferences) {
  std::vector<float> x = RandomValues(kTokens * kChannels, 11);
  for (float& value : x) value += value < 0.0f ? -0.1f : 0.1f;
  FakeQuantOptions options;
  options.bits = 4;
  options.symmetric = false;
  options.ranges = Ranges::kLearned;
  FakeQuantizer quantizer(options);
  Forward(quantizer, x);
  for (float& scale : quantizer.scales()) scale = 1e-3f;
  const auto g = RandomValues(x.size(), 12);
  std::vector<float> grad_scale(kTokens);
  std::vector<float> grad_zero(kTokens);
  quantizer.BackwardRanges(x.data(), g.data(), kTokens, kChannels,
                           grad_scale.data(), grad_zero.data());
  for (size_t row = 0; row < kTokens; ++row) {
    const auto slope = [&](float& parameter, float step) {
      const float at = parameter;
      parameter = at + step;
      const double above = Loss(quantizer, x, g);
      parameter = at - step;
      const double below = Loss(quantizer, x, g);
      parameter = at;
      return (above - below) / (2.0 * static_cast<double>(step));
    };
    const double scale = slope(quantizer.scales()[row], 1e-5f);
    EXPECT_NEAR(static_cast<double>(grad_scale[row]), scale,
                1e-3 * std::fabs(scale) + 1e-2);
    const double zero = slope(quantizer.zero_points()[row], 0.25f);
    EXPECT_NEAR(static_cast<double>(grad_zero[row]), zero, 2e-3);
  }
}

TEST(FakeQuantTest, RefusesImpossibleOptions) {
  FakeQuantOptions options;
  options.bits = 0;
  EXPECT_THROW(FakeQuantizer{options}, Error);
  options.bits = 9;
  EXPECT_THROW(FakeQuantizer{options}, Error);
  options = {};
  options.group_size = -2;
  EXPECT_THROW(FakeQuantizer{options}, Error);
  options = {};
  options.eps = 0.0f;
  EXPECT_THROW(FakeQuantizer{options}, Error);
}

// What upstream does by default to asymmetric weights with an integer zero
// point is not usable; what lutra does is.
TEST(FakeQuantTest, IntegerZeroPointIsNotTruncated) {
  const auto w = RandomValues(kTokens * kChannels, 13);
  FakeQuantOptions options;
  options.bits = 4;
  options.is_signed = false;
  options.symmetric = false;
  const auto error = [&](Asymmetric asymmetric) {
    options.asymmetric = asymmetric;
    FakeQuantizer quantizer(options);
    const auto y = Forward(quantizer, w);
    double sum = 0.0;
    for (size_t i = 0; i < w.size(); ++i) {
      const double e = static_cast<double>(w[i]) - static_cast<double>(y[i]);
      sum += e * e;
    }
    return sum;
  };
  EXPECT_LT(error(Asymmetric::kInteger), 0.05 * error(Asymmetric::kTruncated));
  EXPECT_LT(error(Asymmetric::kFloat), 0.05 * error(Asymmetric::kTruncated));
}

}  // namespace
}  // namespace lutra::qat
