#include "qat/grids/summation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "qat/grids/rounding.h"
#include "tests/qat/random_values.h"

namespace lutra::qat {
namespace {

TEST(SummationTest, IsCloseToTheSumInDouble) {
  for (const size_t n : {1u, 7u, 8u, 9u, 31u, 512u, 513u, 5000u, 200001u}) {
    const std::vector<float> p = RandomValues(n, 7);
    double sum = 0.0;
    double magnitude = 0.0;
    for (const float x : p) {
      sum += static_cast<double>(x);
      magnitude += std::fabs(static_cast<double>(x));
    }
    EXPECT_NEAR(Sum(p.data(), n), sum, 1e-6 * magnitude) << n;
    EXPECT_NEAR(SumOfMagnitudes(p.data(), n), magnitude, 1e-6 * magnitude) << n;
  }
}

// Ones are exact in any order as long as every element is counted once.
TEST(SummationTest, CountsEveryElementOnce) {
  const std::vector<float> ones(70000, 1.0f);
  for (size_t n = 0; n < 300; ++n) {
    EXPECT_EQ(Sum(ones.data(), n), static_cast<float>(n));
  }
  for (const size_t n : {511u, 512u, 513u, 2047u, 8191u, 65535u, 70000u}) {
    EXPECT_EQ(Sum(ones.data(), n), static_cast<float>(n));
  }
}

// Below 8 values: four interleaved sums, left-over values to the first one.
TEST(SummationTest, FollowsTheDefinedOrderForFewValues) {
  const float big = 16777216.0f;  // 2^24: adding 1 to it is lost
  const float p[] = {big, 1.0f, 1.0f, 1.0f, 1.0f};
  EXPECT_EQ(Sum(p, 5), ((big + 1.0f) + 1.0f + 1.0f) + 1.0f);
  const float q[] = {1.0f, big, -big, 1.0f, 1.0f};
  EXPECT_EQ(Sum(q, 5), 3.0f);
}

TEST(SummationTest, RangesAndMagnitudes) {
  const std::vector<float> p = RandomValues(77, 3);
  const Range range = MinMax(p.data(), p.size());
  float min = p[0], max = p[0], magnitude = 0.0f;
  for (const float x : p) {
    min = std::min(min, x);
    max = std::max(max, x);
    magnitude = std::max(magnitude, std::fabs(x));
  }
  EXPECT_EQ(range.min, min);
  EXPECT_EQ(range.max, max);
  EXPECT_EQ(MaxMagnitude(p.data(), p.size()), magnitude);
  EXPECT_EQ(MaxMagnitude(p.data(), 0), 0.0f);
}

TEST(RoundingTest, AgreesWithTheStandardLibrary) {
  for (const float x :
       {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 0.49999997f, 8388607.5f, 8388608.0f,
        -8388609.0f, 3e38f, 1e-40f, -0.0f, 4194303.5f, -4194303.5f}) {
    EXPECT_EQ(RoundHalfEven(x), std::nearbyint(x)) << x;
    EXPECT_EQ(std::signbit(RoundHalfEven(x)), std::signbit(x)) << x;
    if (std::fabs(x) <= 4194304.0f) {
      EXPECT_EQ(RoundHalfEvenSmall(x), std::nearbyint(x)) << x;
    }
  }
  for (const float x : RandomValues(1000, 5, 100.0f)) {
    EXPECT_EQ(RoundHalfEven(x), std::nearbyint(x)) << x;
  }
}

}  // namespace
}  // namespace lutra::qat
