// Int8 activations: every variant gives the bits of the reference.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "kernels/vector/exp.h"
#include "lutra/kernels/activation_rounding.h"
#include "lutra/kernels/gemm.h"
#include "tests/kernels/each_variant.h"
#include "tests/kernels/gemm_case.h"
#include "tests/kernels/random_matrix.h"
#include "tests/rounds.h"

namespace lutra::kernels {
namespace {

// Those of int8.
const std::vector<ActivationType> kTypes = [] {
  std::vector<ActivationType> types;
  for (const ActivationTraits& traits : kActivationTypes) {
    if (!traits.is_float) types.push_back(traits.type);
  }
  return types;
}();

void ExpectReference(const LutMatrix& w, ActivationType type,
                     const Input& input, size_t threads) {
  SCOPED_TRACE(Describe(w.format, type, input, threads));
  const std::vector<float> expected =
      Compute(Engine::kReference, w, type, input, 0);
  ForEachVariant([&](const char* variant) {
    SCOPED_TRACE(variant);
    ExpectSameBits(expected, Compute(Engine::kActive, w, type, input, threads),
                   w.format.n);
  });
}

TableKind RandomKind(std::mt19937& rng) {
  return static_cast<TableKind>(rng() % static_cast<size_t>(TableKind::kCount));
}

TEST(Int8GemmTest, RandomShapes) {
  std::mt19937 rng(11);
  for (int i = 0; i < Rounds(300) && !testing::Test::HasFailure(); ++i) {
    const LutFormat format =
        RandomFormat(1 + static_cast<uint32_t>(rng() % 300),
                     1 + static_cast<uint32_t>(rng() % 300), rng);
    const RandomMatrix w = MakeRandomMatrix(format, RandomKind(rng), rng);
    const size_t m = rng() % 3 == 0 ? 1 : 1 + rng() % 67;
    const size_t threads = rng() % 8 == 0 ? 1 + rng() % 8 : 0;
    ExpectReference(w.matrix, kTypes[rng() % kTypes.size()],
                    MakeInput(m, format, rng), threads);
  }
}

// Every combination of format fields and activations, with a row block and a
// group that are not full. The last size is the whole row.
TEST(Int8GemmTest, EveryFormat) {
  std::mt19937 rng(12);
  constexpr uint32_t kColumns = 267;
  for (const uint32_t group_size :
       {16u, 32u, 48u, 64u, 96u, 128u, 256u, kColumns}) {
    for (const LutFormat& choice : EveryEncoding()) {
      LutFormat format = choice;
      format.n = 19;
      format.k = kColumns;
      format.group_size = group_size;
      // Spans of 256 columns do not take every group.
      if (CheckFormat(format) != nullptr) continue;
      const RandomMatrix w = MakeRandomMatrix(format, RandomKind(rng), rng);
      for (const ActivationType type : kTypes) {
        for (const size_t m : {size_t{1}, size_t{3}}) {
          if (rng() % static_cast<unsigned>(TestDivisor()) != 0) continue;
          ExpectReference(w.matrix, type, MakeInput(m, format, rng), 0);
          if (testing::Test::HasFailure()) return;
        }
      }
    }
  }
}

// Every number of tokens, up to more than a block of them.
TEST(Int8GemmTest, EveryNumberOfTokens) {
  std::mt19937 rng(13);
  for (size_t m = 1; m <= 67; ++m) {
    LutFormat format = RandomFormat(50, 150, rng);
    const RandomMatrix w = MakeRandomMatrix(format, RandomKind(rng), rng);
    ExpectReference(w.matrix, kTypes[m % kTypes.size()],
                    MakeInput(m, format, rng), 0);
  }
}

// In every encoding, as many tokens and columns as make tile registers worth
// it, where smaller products are left to vectors.
TEST(Int8GemmTest, LargeProducts) {
  std::mt19937 rng(18);
  constexpr uint32_t kColumns = 267;
  const std::vector<uint32_t> group_sizes = {32,  48,  64,      96,
                                             128, 256, kColumns};
  size_t tried = 0;
  for (const LutFormat& choice : EveryEncoding()) {
    if (rng() % (4 * static_cast<unsigned>(TestDivisor())) != 0) continue;
    LutFormat format = choice;
    format.n = 37;
    format.k = kColumns;
    format.group_size = group_sizes[rng() % group_sizes.size()];
    if (CheckFormat(format) != nullptr) continue;
    const RandomMatrix w = MakeRandomMatrix(format, RandomKind(rng), rng);
    ExpectReference(w.matrix, kTypes[rng() % kTypes.size()],
                    MakeInput(33 + rng() % 67, format, rng), 0);
    if (testing::Test::HasFailure()) return;
    ++tried;
  }
  EXPECT_GT(tried, 10u);
}

// What is multiplied by each of few tokens, or by all of them at once.
TEST(Int8GemmTest, FewTokensOfLongRows) {
  std::mt19937 rng(19);
  for (const uint32_t bits : {1u, 2u, 3u, 4u, 8u}) {
    for (const uint32_t group_size : {32u, 64u, 128u, 4200u}) {
      for (const size_t m : {size_t{2}, size_t{3}, size_t{5}, size_t{17}}) {
        if (rng() % static_cast<unsigned>(TestDivisor()) != 0) continue;
        LutFormat format;
        format.n = 35;
        format.k = 4200;
        format.bits = bits;
        format.group_size = group_size;
        const RandomMatrix w = MakeRandomMatrix(format, RandomKind(rng), rng);
        ExpectReference(w.matrix, kTypes[rng() % kTypes.size()],
                        MakeInput(m, format, rng), 0);
        if (testing::Test::HasFailure()) return;
      }
    }
  }
}

// Sums at the ends of their ranges, over one large group.
TEST(Int8GemmTest, ExactAtTheLimits) {
  struct Limits {
    uint32_t bits;
    std::vector<int8_t> table;
    std::vector<uint8_t> indices;
  };
  const Limits kLimits[] = {{1, {-128, 127}, {0, 1}},
                            {1, {-128, -127}, {0, 1}},
                            {1, {126, 127}, {0, 1}},
                            {2, {-128, 0, 1, 127}, {0, 3}},
                            {8, {}, {0x80, 0x7F}}};
  const uint32_t k = kMaxGroupSize;
  const std::vector<float> scales(2, 1.0f);
  for (const Limits& limits : kLimits) {
    const LutFormat format{.n = 2,
                           .k = k,
                           .bits = limits.bits,
                           .group_size = k,
                           .offset_type = OffsetType::kFloat32};
    const AlignedBytes blob = AllocateAligned(BlobBytes(format));
    for (const uint8_t index : limits.indices) {
      const std::vector<uint8_t> indices(2 * size_t{k}, index);
      PackLutMatrix(format,
                    {.indices = indices.data(),
                     .scales = scales.data(),
                     .offsets = scales.data(),
                     .tables = limits.table.data()},
                    blob.get());
      LutMatrix w;
      ASSERT_EQ(ParseLutMatrix(blob.get(), BlobBytes(format), &w), nullptr);
      for (const float sign : {-1.0f, 1.0f}) {
        Input input;
        input.m = 2;
        input.k = input.stride = k;
        input.x.assign(2 * size_t{k}, sign);
        for (const ActivationType type : kTypes) {
          ExpectReference(w, type, input, 0);
          ExpectReference(w, type, OnlyToken(input, 0), 0);
        }
      }
    }
  }
}

TEST(Int8GemmTest, NonFiniteTokenGivesNaNAndLeavesOthersAlone) {
  std::mt19937 rng(14);
  const LutFormat format{.n = 20, .k = 70, .bits = 2, .group_size = 32};
  const RandomMatrix w = MakeRandomMatrix(format, TableKind::kSmall, rng);
  Input input;
  input.m = 3;
  input.k = input.stride = 70;
  input.x.assign(3 * 70, 0.5f);
  input.x[70 + 69] = std::numeric_limits<float>::infinity();
  for (const ActivationType type : kTypes) {
    ForEachVariant([&](const char* variant) {
      const std::vector<float> y =
          Compute(Engine::kActive, w.matrix, type, input, 0);
      for (size_t i = 0; i < y.size(); ++i) {
        EXPECT_EQ(std::isnan(y[i]), i / 20 == 1) << variant << " " << i;
      }
    });
  }
}

// The reference itself; that variants have its bits is tested above, as random
// matrices have subnormal scales.
TEST(Int8GemmTest, SubnormalScalesOffsetsAndRowSumsCountAsZero) {
  std::mt19937 rng(16);
  for (const ScaleType scales : {ScaleType::kFloat32, ScaleType::kBFloat16}) {
    const LutFormat format{.n = 20,
                           .k = 32,
                           .bits = 2,
                           .group_size = 32,
                           .scale_type = scales,
                           .offset_type = scales == ScaleType::kFloat32
                                              ? OffsetType::kFloat32
                                              : OffsetType::kBFloat16};
    RandomMatrix w = MakeRandomMatrix(format, TableKind::kSmall, rng);
    // The smallest bfloat16 makes a subnormal row sum, the largest subnormal
    // one a row sum that is not.
    for (size_t i = 0; i < w.scales.size(); ++i) {
      const float tiny = i % 2 == 0 ? 0x1p-133f : 0x1.FCp-127f;
      w.scales[i] = i % 3 == 0 ? -tiny : tiny;
      w.offsets[i] = i % 5 == 0 ? tiny : -tiny;
    }
    PackMatrix(w);
    Input input = MakeInput(3, format, rng);
    for (float& x : input.x) x = 1.0f;
    input.bias.clear();
    input.fusion = Fusion::kNone;
    for (const ActivationType type :
         {ActivationType::kInt8Symmetric, ActivationType::kInt8PerGroup,
          ActivationType::kFloat32, ActivationType::kBFloat16}) {
      ExpectSameBits(std::vector<float>(3 * format.n),
                     Compute(Engine::kReference, w.matrix, type, input, 0),
                     format.n);
    }
    // Here the row sums count, those that are normal.
    const std::vector<float> y =
        Compute(Engine::kReference, w.matrix, ActivationType::kInt8Asymmetric,
                input, 0);
    for (size_t i = 0; i < y.size(); ++i) {
      float row_sum = 0;
      std::memcpy(&row_sum,
                  w.matrix.row_blocks +
                      i % format.n / 16 * w.matrix.geometry.row_block_bytes +
                      i % format.n % 16 * sizeof(float),
                  sizeof(row_sum));
      EXPECT_EQ(y[i] == 0.0f, !std::isnormal(row_sum)) << i;
    }
  }
}

// The reference itself: a fused function is that of the plain output.
TEST(Int8GemmTest, FusionIsTheFunctionOfTheOutput) {
  std::mt19937 rng(15);
  const LutFormat format{.n = 100, .k = 64, .bits = 4, .group_size = 32};
  const RandomMatrix w = MakeRandomMatrix(format, TableKind::kSmall, rng);
  Input input = MakeInput(7, format, rng);
  input.fusion = Fusion::kNone;
  const ActivationType type = ActivationType::kInt8Asymmetric;
  const std::vector<float> plain =
      Compute(Engine::kReference, w.matrix, type, input, 0);
  input.clamp_min = -0.5f;
  input.clamp_max = 0.25f;
  const auto expect = [&](Fusion fusion, float (*function)(float)) {
    SCOPED_TRACE(static_cast<int>(fusion));
    input.fusion = fusion;
    std::vector<float> expected = plain;
    for (float& v : expected) {
      if (!std::isnan(v)) v = function(v);
    }
    ExpectSameBits(expected,
                   Compute(Engine::kReference, w.matrix, type, input, 0),
                   format.n);
  };
  expect(Fusion::kRelu, [](float v) { return v < 0 ? 0 : v; });
  expect(Fusion::kRelu6, [](float v) { return v < 0 ? 0 : v > 6 ? 6 : v; });
  expect(Fusion::kClamp, [](float v) {
    return v < -0.5f ? -0.5f : v > 0.25f ? 0.25f : v;
  });
  expect(Fusion::kGelu, Gelu);
  expect(Fusion::kSilu, Silu);
}

// Fused into a product, too, in vectors and in what is left of a row.
TEST(Int8GemmTest, FusedActivationsOfMinusInfinityAreMinusZero) {
  std::mt19937 rng(17);
  const LutFormat format{.n = 37, .k = 64, .bits = 2, .group_size = 32};
  const RandomMatrix w = MakeRandomMatrix(format, TableKind::kSmall, rng);
  for (const size_t m : {size_t{1}, size_t{9}}) {
    Input input;
    input.m = m;
    input.k = input.stride = 64;
    input.x.assign(m * 64, 0.5f);
    input.bias.assign(format.n, -std::numeric_limits<float>::infinity());
    const std::vector<float> zeros(m * format.n, -0.0f);
    for (const Fusion fusion : {Fusion::kGelu, Fusion::kSilu}) {
      input.fusion = fusion;
      for (const ActivationType type :
           {ActivationType::kInt8Asymmetric, ActivationType::kFloat32}) {
        ExpectSameBits(
            zeros, Compute(Engine::kReference, w.matrix, type, input, 0), 37);
        ForEachVariant([&](const char* variant) {
          SCOPED_TRACE(variant);
          ExpectSameBits(
              zeros, Compute(Engine::kActive, w.matrix, type, input, 0), 37);
        });
      }
    }
  }
}

// Of a fixed range: its steps, and its ends for what lies outside.
TEST(Int8GemmTest, FixedRange) {
  const LutFormat format{.n = 1, .k = 20, .bits = 8, .group_size = 20};
  const std::vector<uint8_t> indices(20, 1);
  const std::vector<float> scales = {1.0f};
  const AlignedBytes blob = AllocateAligned(BlobBytes(format));
  PackLutMatrix(format, {.indices = indices.data(), .scales = scales.data()},
                blob.get());
  LutMatrix w;
  ASSERT_EQ(ParseLutMatrix(blob.get(), BlobBytes(format), &w), nullptr);
  Input input;
  input.m = 1;
  input.k = input.stride = 20;
  input.x.assign(20, 0.0f);
  input.range_min = -55;
  input.range_max = 200;
  const auto sum = [&](float first, float last, ActivationType type) {
    input.x[0] = first;
    input.x[19] = last;
    return Compute(Engine::kActive, w, type, input, 0)[0];
  };
  // Steps of 1.
  EXPECT_EQ(sum(3.4f, 5.6f, ActivationType::kInt8Asymmetric), 9.0f);
  EXPECT_EQ(sum(201, 1e30f, ActivationType::kInt8Asymmetric), 400.0f);
  EXPECT_EQ(sum(-1e30f, -80, ActivationType::kInt8Asymmetric), -110.0f);
  EXPECT_NEAR(sum(-300, 100, ActivationType::kInt8Symmetric), -100.0f, 1);
  // Which groups have for themselves.
  EXPECT_NEAR(sum(-300, 600, ActivationType::kInt8PerGroup), 300.0f, 3);
  EXPECT_TRUE(
      std::isnan(sum(std::nanf(""), 0, ActivationType::kInt8Asymmetric)));
}

// Activations as floats are what a product with the identity gives.
TEST(Int8GemmTest, RoundedActivationsAreThoseOfProducts) {
  constexpr uint32_t kColumns = 70;
  constexpr uint32_t kGroup = 32;
  const LutFormat format{
      .n = kColumns, .k = kColumns, .bits = 8, .group_size = kGroup};
  std::vector<uint8_t> indices(kColumns * kColumns);
  for (size_t i = 0; i < kColumns; ++i) indices[i * kColumns + i] = 1;
  const std::vector<float> scales(kColumns * format.GroupsPerRow(), 1.0f);
  const AlignedBytes blob = AllocateAligned(BlobBytes(format));
  PackLutMatrix(format, {.indices = indices.data(), .scales = scales.data()},
                blob.get());
  LutMatrix identity;
  ASSERT_EQ(ParseLutMatrix(blob.get(), BlobBytes(format), &identity), nullptr);
  std::mt19937 rng(17);
  for (int i = 0; i < Rounds(100); ++i) {
    Input input = MakeInput(1 + rng() % 5, format, rng);
    input.bias.clear();
    input.fusion = Fusion::kNone;
    for (const ActivationType type : kTypes) {
      SCOPED_TRACE(Describe(format, type, input, 0));
      std::vector<float> rounded(input.m * kColumns);
      std::vector<uint8_t> inside(rounded.size(), 2);
      std::vector<float> x;
      for (size_t t = 0; t < input.m; ++t) {
        const auto row =
            input.x.begin() + static_cast<ptrdiff_t>(t * input.stride);
        x.insert(x.end(), row, row + kColumns);
      }
      const ActivationRounding rounding{.type = type,
                                        .bits = input.activation_bits,
                                        .group_size = kGroup,
                                        .range_min = input.range_min,
                                        .range_max = input.range_max};
      RoundActivations(rounding, x.data(), input.m, kColumns, rounded.data(),
                       inside.data(), nullptr);
      // The zeros of a product are positive.
      for (float& v : rounded) v += 0.0f;
      ExpectSameBits(Compute(Engine::kReference, identity, type, input, 0),
                     rounded, kColumns);
      if (testing::Test::HasFailure()) return;
    }
  }
}

// Which values a straight-through gradient passes.
TEST(Int8GemmTest, RoundedActivationsInsideOfARange) {
  const std::vector<float> x = {-3.0f, -2.1f, -2.0f, 0.4f, 1.0f, 1.4f, 1.6f};
  std::vector<float> y(x.size());
  std::vector<uint8_t> inside(x.size());
  // Steps of 1 from -2 to 1.
  RoundActivations({.bits = 2, .range_min = -2, .range_max = 1}, x.data(), 1,
                   x.size(), y.data(), inside.data(), nullptr);
  EXPECT_EQ(y, (std::vector<float>{-2, -2, -2, 0, 1, 1, 1}));
  EXPECT_EQ(inside, (std::vector<uint8_t>{0, 1, 1, 1, 1, 1, 0}));
}

// A scale for each group of activations keeps small groups beside large ones.
TEST(Int8GemmTest, ScalePerGroupKeepsSmallGroups) {
  const LutFormat format{.n = 1, .k = 64, .bits = 8, .group_size = 32};
  std::vector<uint8_t> indices(64);
  for (size_t k = 32; k < 64; ++k) indices[k] = 1;
  const std::vector<float> scales = {1.0f, 1.0f};
  const AlignedBytes blob = AllocateAligned(BlobBytes(format));
  PackLutMatrix(format, {.indices = indices.data(), .scales = scales.data()},
                blob.get());
  LutMatrix w;
  ASSERT_EQ(ParseLutMatrix(blob.get(), BlobBytes(format), &w), nullptr);
  Input input;
  input.m = 1;
  input.k = input.stride = 64;
  input.x.assign(64, 1000.0f);
  for (size_t k = 32; k < 64; ++k) input.x[k] = 0.5f;
  EXPECT_EQ(
      Compute(Engine::kActive, w, ActivationType::kInt8Symmetric, input, 0)[0],
      0.0f);
  EXPECT_NEAR(
      Compute(Engine::kActive, w, ActivationType::kInt8PerGroup, input, 0)[0],
      16.0f, 1e-5f);
}

}  // namespace
}  // namespace lutra::kernels
