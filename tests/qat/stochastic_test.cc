#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "lutra/qat/fake_quant.h"
#include "lutra/qat/prox_maps.h"
#include "tests/qat/random_values.h"

// Rounding at random: right in the mean, and the same for the same seed.

namespace lutra::qat {
namespace {

constexpr int kDraws = 4000;
// Of a mean of kDraws draws of 0 or 1, as most: half over the root of kDraws.
constexpr double kDeviation = 0.5 / 63.0;

TEST(StochasticRoundingTest, FakeQuantizersAreRightInTheMean) {
  FakeQuantOptions options;
  options.bits = 3;
  options.rounding = Rounding::kStochastic;
  options.ranges = FakeQuantOptions::Ranges::kStatic;
  FakeQuantizer quantizer(options);
  const std::vector<float> x = {1.0f, 0.1f, -0.37f, 0.62f, 0.0f, -1.0f};
  std::vector<double> sum(x.size());
  std::vector<float> y(x.size());
  for (int i = 0; i < kDraws; ++i) {
    quantizer.Forward(x.data(), 1, x.size(), y.data());
    const float scale = quantizer.scales()[0];
    for (size_t j = 0; j < x.size(); ++j) {
      sum[j] += y[j];
      const float code = y[j] / scale;
      EXPECT_NEAR(code, std::nearbyint(code), 1e-5f);
      EXPECT_LT(std::fabs(y[j] - x[j]), scale * 1.0001f);
    }
  }
  const double scale = quantizer.scales()[0];
  // The largest value lies beyond the last code.
  for (size_t j = 1; j < x.size(); ++j) {
    EXPECT_NEAR(sum[j] / kDraws, x[j], 5 * kDeviation * scale) << x[j];
  }
  EXPECT_EQ(sum[4], 0.0);
}

TEST(StochasticRoundingTest, CallsDrawAnewAndSeedsRepeat) {
  FakeQuantOptions options;
  options.bits = 2;
  options.rounding = Rounding::kStochastic;
  const std::vector<float> x = RandomValues(256, 3);
  const auto draw = [&](uint64_t seed, int calls) {
    options.seed = seed;
    FakeQuantizer quantizer(options);
    std::vector<float> y(x.size());
    for (int i = 0; i < calls; ++i) {
      quantizer.Forward(x.data(), 1, x.size(), y.data());
    }
    return y;
  };
  EXPECT_EQ(draw(1, 2), draw(1, 2));
  EXPECT_NE(draw(1, 1), draw(1, 2));
  EXPECT_NE(draw(1, 1), draw(2, 1));
}

TEST(StochasticRoundingTest, TheGradientIsThatOfTheLastDraw) {
  FakeQuantOptions options;
  options.bits = 2;
  options.rounding = Rounding::kStochastic;
  FakeQuantizer quantizer(options);
  const std::vector<float> x = {1.0f, 0.2f, -0.3f, 2.0f};
  const std::vector<float> ones(x.size(), 1.0f);
  std::vector<float> y(x.size());
  std::vector<float> gradient(x.size());
  quantizer.Forward(x.data(), 1, x.size(), y.data());
  quantizer.Backward(x.data(), ones.data(), 1, x.size(), gradient.data());
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(gradient[i], 1.0f, 1e-6f);
}

struct Drawn {
  std::vector<float> p;
  std::vector<float> grid = {-1.0f, 0.0f, 0.5f, 2.0f};

  void Apply(const ProxMap& map, int64_t step) {
    map.Apply({p.data(), nullptr, grid.data(), 1, p.size(), grid.size(), true},
              step);
  }
};

TEST(StochasticRoundingTest, TheProximalMapIsRightInTheMean) {
  const auto map = MakeProxStochastic(10, 10 + kDraws, 7);
  const std::vector<float> p = {-0.75f, -0.1f, 0.2f,  0.6f,
                                1.9f,   0.5f,  -3.0f, 4.0f};
  std::vector<double> sum(p.size());
  for (int step = 0; step < kDraws; ++step) {
    Drawn drawn{p};
    drawn.Apply(*map, 10 + step);
    for (size_t i = 0; i < p.size(); ++i) {
      sum[i] += drawn.p[i];
      EXPECT_TRUE(
          std::binary_search(drawn.grid.begin(), drawn.grid.end(), drawn.p[i]));
    }
  }
  const double steps[] = {1.0, 1.0, 0.5, 1.5, 1.5};
  for (size_t i = 0; i < std::size(steps); ++i) {
    EXPECT_NEAR(sum[i] / kDraws, p[i], 5 * kDeviation * steps[i]) << p[i];
  }
  // Levels stay, and what is outside takes the nearest.
  EXPECT_EQ(sum[5], 0.5 * kDraws);
  EXPECT_EQ(sum[6], -1.0 * kDraws);
  EXPECT_EQ(sum[7], 2.0 * kDraws);
}

TEST(StochasticRoundingTest, TheProximalMapHasAStartAndAnEnd) {
  const auto map = MakeProxStochastic(10, 20, 7);
  const std::vector<float> p = RandomValues(100, 1);
  Drawn before{p};
  before.Apply(*map, 9);
  EXPECT_EQ(before.p, p);
  Drawn after{p};
  after.Apply(*map, 20);
  Drawn hard{p};
  hard.Apply(*MakeProxHardQuant(), 20);
  EXPECT_EQ(after.p, hard.p);
  Drawn one{p};
  one.Apply(*map, 15);
  Drawn other{p};
  other.Apply(*MakeProxStochastic(10, 20, 8), 15);
  EXPECT_NE(one.p, other.p);
  EXPECT_NE(one.p, hard.p);
  EXPECT_THROW(MakeProxStochastic(5, 5, 1), std::exception);
}

}  // namespace
}  // namespace lutra::qat
