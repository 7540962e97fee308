#include "tests/golden_replay/comparison.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace lutra::golden {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

CaseResult Exact(const std::vector<float>& got,
                 const std::vector<float>& expected) {
  Comparison comparison;
  comparison.Exact("x", got, expected);
  return comparison.Result("case", "");
}

TEST(ComparisonTest, EqualBitsPass) {
  const CaseResult result =
      Exact({1.5f, -0.0f, kNaN, kInfinity}, {1.5f, 0.0f, kNaN, kInfinity});
  EXPECT_TRUE(result.passed);
  EXPECT_EQ(result.values, 4u);
  EXPECT_EQ(result.mismatches, 0u);
  EXPECT_EQ(result.worst, 0.0);
  EXPECT_EQ(result.tolerance, "exact");
  EXPECT_EQ(result.note, "");
}

TEST(ComparisonTest, TheNextFloatMisses) {
  const float next = std::nextafter(1.0f, 2.0f);
  const CaseResult result = Exact({1.0f, next, 3.5f}, {1.0f, 1.0f, 3.0f});
  EXPECT_FALSE(result.passed);
  EXPECT_EQ(result.mismatches, 2u);
  EXPECT_EQ(result.worst, 0.5);
  EXPECT_EQ(result.note,
            "x differs first at element 1: 1.00000012 instead of 1");
}

TEST(ComparisonTest, ANumberForNoneIsInfinitelyWrong) {
  for (const auto& [got, expected] :
       {std::pair(kNaN, 1.0f), std::pair(1.0f, kNaN),
        std::pair(kInfinity, 1.0f), std::pair(kInfinity, -kInfinity)}) {
    const CaseResult result = Exact({got}, {expected});
    EXPECT_FALSE(result.passed) << got << " " << expected;
    EXPECT_TRUE(std::isinf(result.worst)) << got << " " << expected;
  }
}

TEST(ComparisonTest, AnotherSizeMisses) {
  const CaseResult result = Exact({1.0f}, {1.0f, 2.0f});
  EXPECT_FALSE(result.passed);
  EXPECT_EQ(result.mismatches, 2u);
  EXPECT_EQ(result.note, "x has 1 values instead of 2");
  EXPECT_FALSE(Exact({1.0f}, {}).passed);
}

TEST(ComparisonTest, TolerancesIncludeTheirLimit) {
  const std::vector<double> expected = {4.0, 0.0};
  for (const double error : {0.25, 0.5}) {
    Comparison relative;
    relative.Relative("x", std::vector{4.0 + error, 0.0}, expected, 0.0625);
    EXPECT_EQ(relative.Result("", "").passed, error == 0.25);
    EXPECT_EQ(relative.Result("", "").worst, error / 4);
    EXPECT_EQ(relative.Result("", "").tolerance, "0.0625 relative");

    const std::vector<float> got = {static_cast<float>(4.0 - error)};
    Comparison absolute;
    absolute.Absolute("x", got, std::vector{4.0f}, 0.25);
    EXPECT_EQ(absolute.Result("", "").passed, error == 0.25);
    EXPECT_EQ(absolute.Result("", "").worst, error);
    EXPECT_EQ(absolute.Result("", "").tolerance, "0.25 absolute");

    Comparison within;
    within.Within("x", got, std::vector{4.0f}, std::vector{2.0}, 0.125);
    EXPECT_EQ(within.Result("", "").passed, error == 0.25);
    EXPECT_EQ(within.Result("", "").worst, error / 2);
  }
  Comparison of_zero;
  of_zero.Relative("x", std::vector{1e-300}, std::vector{0.0}, 0.5);
  EXPECT_FALSE(of_zero.Result("", "").passed);
}

TEST(ComparisonTest, IntegersAndTexts) {
  Comparison comparison;
  comparison.Exact("ids", std::vector<int32_t>{1, 2},
                   std::vector<int32_t>{1, 2});
  comparison.ExactText("text", "a", "a");
  EXPECT_TRUE(comparison.Result("", "").passed);
  EXPECT_EQ(comparison.Result("", "").values, 3u);
  comparison.ExactText("text", "a", "b");
  EXPECT_FALSE(comparison.Result("", "").passed);
  EXPECT_EQ(comparison.Result("", "").note, "text is 'a' instead of 'b'");
  Comparison codes;
  codes.Exact("q", std::vector<int8_t>{-3}, std::vector<int8_t>{-4});
  EXPECT_EQ(codes.Result("", "").worst, 1.0);
  EXPECT_EQ(codes.Result("", "").mismatches, 1u);
}

TEST(ComparisonTest, NothingComparedFailsUnlessANoteSaysWhy) {
  Comparison comparison;
  EXPECT_FALSE(comparison.Result("", "").passed);
  EXPECT_EQ(comparison.Result("", "").note, "nothing was compared");
  comparison.Note("first");
  comparison.Note("second");
  EXPECT_TRUE(comparison.Result("", "").passed);
  EXPECT_EQ(comparison.Result("", "").note, "first");
}

TEST(ComparisonTest, BreakingOffFails) {
  Comparison comparison;
  comparison.ExactText("text", "a", "a");
  const CaseResult result = comparison.Result("name", "no more");
  EXPECT_FALSE(result.passed);
  EXPECT_EQ(result.name, "name");
  EXPECT_EQ(result.note, "no more");
}

}  // namespace
}  // namespace lutra::golden
