// Scales that are products are found to be: small numbers and super scales.

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "kernels/base/float8.h"
#include "kernels/base/half.h"
#include "packer/import/stored/holding.h"
#include "packer/import/stored/two_levels.h"

namespace lutra::packer {
namespace {

using kernels::LutFormat;
using kernels::OffsetType;
using kernels::ScaleType;
using kernels::SuperSpan;

constexpr auto kInt8 = ScaleType::kInt8;
constexpr auto kUint4 = ScaleType::kUint4;
constexpr auto kFloat16 = ScaleType::kFloat16;
constexpr auto kFloat32 = ScaleType::kFloat32;

TEST(CommonFactorTest, OfProducts) {
  std::mt19937 rng(1);
  std::uniform_real_distribution<float> uniform(1e-6f, 2.0f);
  for (int round = 0; round < 2000; ++round) {
    const bool is_signed = round % 2 == 0;
    const float sign = round % 4 < 2 ? 1.0f : -1.0f;
    const float factor = sign * RoundToFloat16(uniform(rng));
    std::vector<float> values(1 + rng() % 16);
    for (float& value : values) {
      const int number = is_signed ? static_cast<int>(rng() % 256) - 128
                                   : static_cast<int>(rng() % 16);
      value = factor * static_cast<float>(number);
    }
    const ScaleType number = is_signed ? kInt8 : kUint4;
    const auto found = CommonFactor(values, number, kFloat16);
    ASSERT_TRUE(found);
    EXPECT_EQ(*found, RoundToFloat16(*found));
    for (const float value : values) {
      const float code = *found == 0 ? 0 : value / *found;
      EXPECT_EQ(code, std::nearbyint(code));
      EXPECT_GE(code, is_signed ? -128 : 0);
      EXPECT_LE(code, is_signed ? 127 : 15);
      EXPECT_EQ(code * *found, value);
    }
  }
}

TEST(CommonFactorTest, ThereIsNone) {
  EXPECT_EQ(CommonFactor(std::vector{0.0f, 0.0f}, kInt8, kFloat32), 0.0f);
  EXPECT_EQ(CommonFactor(std::vector{1.0f, 1 + 0x1p-23f}, kInt8, kFloat32),
            std::nullopt);
  EXPECT_EQ(CommonFactor(std::vector{1.0f, 1000.0f}, kInt8, kFloat32),
            std::nullopt);
  EXPECT_EQ(CommonFactor(std::vector{-127.0f, 128.0f}, kInt8, kFloat32), -1.0f);
  EXPECT_EQ(CommonFactor(std::vector{-128.0f, 128.0f, 1.0f}, kInt8, kFloat32),
            std::nullopt);
  EXPECT_EQ(CommonFactor(std::vector{-1.0f, 2.0f}, kUint4, kFloat32),
            std::nullopt);
  EXPECT_EQ(CommonFactor(std::vector{16.0f, 1.0f}, kUint4, kFloat32),
            std::nullopt);
  // 2^-20 / 3 is no float16 number, and nothing but thirds of it will do.
  const float third = 0x1.555556p-2f;
  EXPECT_EQ(CommonFactor(std::vector{third, 2 * third}, kInt8, kFloat16),
            std::nullopt);
  EXPECT_TRUE(CommonFactor(std::vector{third, 2 * third}, kInt8, kFloat32));
}

// A weight [2, columns] with these scales, and zeros to be added if there are.
StoredWeight Weight(size_t columns, size_t group_size,
                    std::vector<float> levels, std::vector<float> scales,
                    std::vector<float> zeros = {}) {
  StoredWeight weight;
  weight.rows = 2;
  weight.columns = columns;
  weight.group_size = group_size;
  weight.levels = std::move(levels);
  weight.zero = zeros.empty() ? ZeroRule::kNone : ZeroRule::kAdd;
  weight.read = [=, count_of = weight.levels.size()](size_t first, size_t count,
                                                     StoredRows& out) {
    const auto groups = static_cast<std::ptrdiff_t>(weight.Groups());
    const auto rows = [&](const std::vector<float>& all) {
      const auto begin =
          all.begin() + static_cast<std::ptrdiff_t>(first) * groups;
      return std::vector<float>(
          begin, begin + static_cast<std::ptrdiff_t>(count) * groups);
    };
    out.scales = rows(scales);
    if (!zeros.empty()) out.zeros = rows(zeros);
    out.codes.resize(count * columns);
    for (size_t i = 0; i < out.codes.size(); ++i) {
      out.codes[i] = static_cast<uint8_t>((first * columns + i) % count_of);
    }
  };
  return weight;
}

// The format that holds the weight, every value proven to be the weight's.
LutFormat Held(const StoredWeight& weight) {
  const Holding holding = Hold(weight);
  EXPECT_TRUE(holding.exact);
  const Fidelity fidelity =
      WriteBlob(weight, holding, [](size_t, std::span<const std::byte>) {});
  EXPECT_EQ(fidelity.noise, 0);
  return holding.format;
}

// Numbers times a float16 number of 256 columns.
std::vector<float> Products(size_t groups, size_t group_size, int most,
                            std::mt19937& rng) {
  std::vector<float> products(2 * groups);
  float factor = 0;
  for (size_t i = 0; i < products.size(); ++i) {
    if (i % groups * group_size % 256 == 0) {
      factor = RoundToFloat16(
          std::uniform_real_distribution<float>(1e-3f, 1e-2f)(rng));
    }
    products[i] =
        factor * static_cast<float>(
                     1 + static_cast<int>(rng() % static_cast<unsigned>(most)));
  }
  return products;
}

TEST(TwoLevelsTest, NumbersOf256Columns) {
  std::mt19937 rng(2);
  struct Case {
    size_t group_size;
    int most;  // of scales
    ScaleType scale;
    OffsetType offset;
  };
  const Case cases[] = {
      {16, 15, kUint4, OffsetType::kUint4},  // Q2_K
      {32, 63, kInt8, OffsetType::kInt8},    // Q4_K
      {16, 127, kInt8, OffsetType::kNone},   // Q6_K
      {32, 63, kInt8, OffsetType::kNone},    // IQ4_XS
  };
  for (const Case& c : cases) {
    const size_t groups = 640 / c.group_size;
    std::vector<float> zeros;
    if (c.offset != OffsetType::kNone) {
      zeros = Products(groups, c.group_size, c.most, rng);
      for (float& zero : zeros) zero = -zero;
    }
    const LutFormat format =
        Held(Weight(640, c.group_size, IntegerLevels(0, 4),
                    Products(groups, c.group_size, c.most, rng), zeros));
    EXPECT_EQ(format.scale_type, c.scale);
    EXPECT_EQ(format.offset_type, c.offset);
    EXPECT_EQ(format.super_span, SuperSpan::kColumns256);
    EXPECT_EQ(format.super_type, kFloat16);
  }
}

TEST(TwoLevelsTest, RowsWhereGroupsDoNotDivide256) {
  std::mt19937 rng(3);
  std::vector<float> scales;
  for (int i = 0; i < 2 * 40; ++i) {
    scales.push_back(0x1.9p-5f * static_cast<float>(1 + rng() % 100));
  }
  const LutFormat format =
      Held(Weight(40 * 48, 48, IntegerLevels(-2, 4), scales));
  EXPECT_EQ(format.scale_type, kInt8);
  EXPECT_EQ(format.super_span, SuperSpan::kRow);
}

TEST(TwoLevelsTest, PowersOfTwo) {
  std::mt19937 rng(4);
  std::vector<float> scales(2 * 64);
  for (float& scale : scales) {
    scale = std::ldexp(1.0f, -static_cast<int>(rng() % 40));
  }
  LutFormat format = Held(Weight(2048, 32, Float4Levels(), scales));
  EXPECT_EQ(format.scale_type, ScaleType::kE8M0);
  EXPECT_EQ(format.super_span, SuperSpan::kNone);
  // Which 0 is not.
  scales[5] = 0;
  format = Held(Weight(2048, 32, Float4Levels(), scales));
  EXPECT_EQ(format.scale_type, ScaleType::kBFloat16);
}

TEST(TwoLevelsTest, EightBitFloats) {
  std::mt19937 rng(5);
  std::vector<float> scales(2 * 128);
  for (float& scale : scales) {
    scale = FloatFromE4M3(static_cast<uint8_t>(1 + rng() % 0x7D));
  }
  // Levels are halves: so are what the numbers are multiplied by.
  LutFormat format = Held(Weight(2048, 16, Float4Levels(), scales));
  EXPECT_EQ(format.scale_type, ScaleType::kE4M3);
  EXPECT_EQ(format.super_span, SuperSpan::kRow);
  const float factor = 0.0123456789f;
  for (float& scale : scales) scale *= factor;
  StoredWeight weight = Weight(2048, 16, Float4Levels(), scales);
  EXPECT_EQ(Held(weight).scale_type, kFloat32);
  weight.factor = factor;
  format = Held(weight);
  EXPECT_EQ(format.scale_type, ScaleType::kE4M3);
  EXPECT_EQ(format.super_span, SuperSpan::kRow);
  // Weights together have what all of them have.
  EXPECT_EQ(Held(Stacked({weight, weight})).scale_type, ScaleType::kE4M3);
  StoredWeight other = weight;
  other.factor = 1;
  EXPECT_EQ(Held(Stacked({weight, other})).scale_type, kFloat32);
}

// Units of 3 bits are 32 columns.
TEST(TwoLevelsTest, GroupsThatFillHalfOfAUnit) {
  const std::vector<float> scales(2 * 64, 0.1f);
  EXPECT_EQ(Held(Weight(1024, 16, IntegerLevels(-4, 8), scales)).bits, 4u);
  const std::vector<float> half(2 * 32, 0.1f);
  EXPECT_EQ(Held(Weight(1024, 32, IntegerLevels(-4, 8), half)).bits, 3u);
}

}  // namespace
}  // namespace lutra::packer
