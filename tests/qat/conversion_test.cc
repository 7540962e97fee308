#include "lutra/qat/conversion.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "lutra/qat/base_optimizers.h"
#include "lutra/qat/prox_maps.h"
#include "lutra/qat/quant_optimizer.h"
#include "lutra/qat/quantizers.h"
#include "lutra/runtime/error.h"
#include "tests/qat/random_values.h"

namespace lutra::qat {
namespace {

constexpr size_t kN = 12;
constexpr size_t kK = 70;  // the last group is short

const std::string_view kWithTable[] = {"stretched", "uniform", "max-uniform",
                                       "intx", "intx-no-clipping"};

class ConversionTest : public testing::TestWithParam<std::string_view> {
 protected:
  std::unique_ptr<Quantizer> quantizer_ = MakeQuantizer(GetParam());
};

TEST_P(ConversionTest, PostTrainingEqualsTheQuantizer) {
  for (const float deviation : {1.0f, 1e-6f, 1e-30f}) {
    const auto w = RandomValues(kN * kK, 1, deviation);
    for (int bits = 2; bits <= 4; ++bits) {
      for (const int64_t group_size : {0, 16, 32}) {
        const LutForm form =
            QuantizeToLut(w.data(), kN, kK, *quantizer_, bits, group_size);
        EXPECT_EQ(form.bits, bits);
        const auto got = Dequantize(form, kN, kK, group_size);
        const size_t columns =
            group_size == 0 ? kK : static_cast<size_t>(group_size);
        std::vector<float> q(kK);
        std::vector<float> grid(quantizer_->GridSize(bits));
        for (size_t row = 0; row < kN; ++row) {
          for (size_t begin = 0; begin < kK; begin += columns) {
            const size_t count = std::min(columns, kK - begin);
            quantizer_->Quantize({&w[row * kK + begin], 1, count, true}, bits,
                                 q.data(), grid.data());
            for (size_t i = 0; i < count; ++i) {
              EXPECT_EQ(got[row * kK + begin + i], q[i]);
            }
          }
        }
      }
    }
  }
}

TEST_P(ConversionTest, QuantizedWeightsMatchTheirGrid) {
  const auto w = RandomValues(kN * kK, 2);
  for (int bits = 2; bits <= 4; ++bits) {
    const LutForm form = QuantizeToLut(w.data(), kN, kK, *quantizer_, bits, 32);
    const auto on_grid = Dequantize(form, kN, kK, 32);
    GridMismatch why;
    const auto matched =
        MatchGrid(on_grid.data(), kN, kK, *quantizer_, bits, 32, &why);
    ASSERT_TRUE(matched.has_value()) << why.ToString();
    EXPECT_EQ(Dequantize(*matched, kN, kK, 32), on_grid);
  }
}

TEST_P(ConversionTest, OneUlpOffIsFound) {
  const auto w = RandomValues(kN * kK, 3);
  const LutForm form = QuantizeToLut(w.data(), kN, kK, *quantizer_, 3, 0);
  auto values = Dequantize(form, kN, kK, 0);
  const size_t position = 5 * kK + 17;
  values[position] = 0.123f;
  GridMismatch why;
  EXPECT_FALSE(
      MatchGrid(values.data(), kN, kK, *quantizer_, 3, 0, &why).has_value());
  EXPECT_EQ(why.row, 5u);
  EXPECT_EQ(why.column, 17u);
  EXPECT_EQ(why.group, 0u);
  EXPECT_EQ(why.value, 0.123f);
  EXPECT_NE(why.ToString().find("row 5, column 17"), std::string::npos);
  EXPECT_FALSE(
      MatchGrid(values.data(), kN, kK, *quantizer_, 3, 0, nullptr).has_value());
}

INSTANTIATE_TEST_SUITE_P(Tables, ConversionTest, testing::ValuesIn(kWithTable),
                         [](const auto& name_info) {
                           std::string name(name_info.param);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(MatchGridTest, FindsTheScaleWhateverLevelsOccur) {
  const auto quantizer = MakeStretchedQuantizer();
  for (const float scale : {1.0f, 0.1f, 1e-20f, 3.3333333e7f}) {
    for (int level = -15; level <= 15; level += 2) {
      const std::vector<float> w(16, scale * static_cast<float>(level));
      GridMismatch why;
      const auto form = MatchGrid(w.data(), 1, 16, *quantizer, 4, 0, &why);
      ASSERT_TRUE(form.has_value()) << why.ToString();
      EXPECT_EQ(Dequantize(*form, 1, 16, 0), w);
    }
  }
}

TEST(MatchGridTest, ZeroRowsAndBothZerosMatch) {
  const std::vector<float> w = {0.0f, -0.0f, 0.0f, 0.0f};
  for (const char* name : {"stretched", "intx"}) {
    const auto quantizer = MakeQuantizer(name);
    const auto form = MatchGrid(w.data(), 2, 2, *quantizer, 2, 0, nullptr);
    ASSERT_TRUE(form.has_value());
    EXPECT_EQ(form->scales, (std::vector<float>{0.0f, 0.0f}));
  }
  // No level of a stretched grid is zero.
  const std::vector<float> mixed = {0.0f, 1.0f};
  GridMismatch why;
  EXPECT_FALSE(
      MatchGrid(mixed.data(), 1, 2, *MakeStretchedQuantizer(), 2, 0, &why)
          .has_value());
  EXPECT_EQ(why.column, 0u);
}

TEST(MatchGridTest, NumbersThatAreNotFiniteAreNamed) {
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()}) {
    std::vector<float> w(32, 1.0f);
    w[19] = bad;
    GridMismatch why;
    EXPECT_FALSE(
        MatchGrid(w.data(), 2, 16, *MakeStretchedQuantizer(), 2, 8, &why)
            .has_value());
    EXPECT_EQ(why.row, 1u);
    EXPECT_EQ(why.column, 3u);
    EXPECT_NE(why.ToString().find("not finite"), std::string::npos);
    try {
      QuantizeToLut(w.data(), 2, 16, *MakeStretchedQuantizer(), 2, 8);
      FAIL();
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("row 1, column 3"),
                std::string::npos);
    }
  }
}

TEST(IntegerFormTest, ZerosStayZerosInALutForm) {
  const std::vector<float> zeros(32);
  for (int bits = 1; bits <= 4; ++bits) {
    EXPECT_EQ(
        Dequantize(ToLutForm(ConvertStretched(zeros.data(), 2, 16, bits, 0)), 2,
                   16, 0),
        zeros);
    EXPECT_EQ(Dequantize(ToLutForm(ConvertAffine(zeros.data(), 2, 16, bits, 0,
                                                 AffineMapping::kSymmetric)),
                         2, 16, 0),
              zeros);
  }
}

// As counted one by one, ties and ends included.
TEST(CountBelowTest, CountsWhatIsLess) {
  const std::vector<float> x = RandomValues(301, 3);
  for (const size_t count : {0u, 1u, 2u, 15u, 16u, 17u, 255u}) {
    for (const bool even : {false, true}) {
      std::vector<float> thresholds = RandomValues(count, 4);
      std::sort(thresholds.begin(), thresholds.end());
      for (size_t e = 0; even && e < count; ++e) {
        thresholds[e] = -2 + 4 * static_cast<float>(e) / 256;
      }
      std::vector<float> values = x;
      values.insert(values.end(), thresholds.begin(), thresholds.end());
      values.insert(values.end(), {-1e30f, 1e30f, 0.0f, -0.0f});
      std::vector<uint8_t> counts(values.size());
      CountBelow(values.data(), values.size(), thresholds, counts.data());
      for (size_t i = 0; i < values.size(); ++i) {
        const auto expected =
            std::count_if(thresholds.begin(), thresholds.end(),
                          [&](float t) { return t < values[i]; });
        ASSERT_EQ(counts[i], expected) << count << " " << values[i];
      }
    }
  }
  // All the same.
  const std::vector<float> same(20, 1.0f);
  uint8_t counts[2] = {};
  const float values[] = {1.0f, 1.5f};
  CountBelow(values, 2, same, counts);
  EXPECT_EQ(counts[0], 0);
  EXPECT_EQ(counts[1], 20);
}

TEST(ConversionErrorTest, WhatHasNoTableIsRefused) {
  const std::vector<float> w(32, 1.0f);
  for (const char* name :
       {"lsbq", "lsbq-optimal", "asymmetric-uniform", "intx-asymmetric"}) {
    EXPECT_THROW(QuantizeToLut(w.data(), 2, 16, *MakeQuantizer(name), 2, 0),
                 Error)
        << name;
  }
  EXPECT_THROW(QuantizeToLut(w.data(), 2, 16, *MakeStretchedQuantizer(), 8, 0),
               Error);
  EXPECT_THROW(
      QuantizeToLut(w.data(), 2, 16, *MakeStretchedQuantizer(), 2, -16), Error);
  EXPECT_THROW(ToLutForm(ConvertAffine(w.data(), 2, 16, 4, 0,
                                       AffineMapping::kAsymmetric)),
               Error);
  EXPECT_THROW(ToLutForm(ConvertStretched(w.data(), 2, 16, 8, 0)), Error);
  EXPECT_THROW(ConvertStretched(w.data(), 2, 16, 9, 0), Error);
}

TEST(ConversionErrorTest, TernaryTakesTwoBits) {
  const auto w = RandomValues(64, 7);
  const LutForm form =
      QuantizeToLut(w.data(), 2, 32, *MakeTernaryQuantizer(false), 0, 0);
  EXPECT_EQ(form.bits, 2);
  EXPECT_EQ(form.table, (std::vector<int8_t>{-1, 0, 1, 1}));
  for (const uint8_t index : form.indices) EXPECT_LT(index, 3);
}

TEST(RowTableTest, LsbqLosesLittleAndSaysSo) {
  const auto w = RandomValues(kN * kK, 21);
  for (const char* name : {"lsbq", "lsbq-optimal"}) {
    const auto quantizer = MakeQuantizer(name);
    std::vector<float> q(w.size());
    std::vector<float> grid(kN * 4);
    quantizer->Quantize({w.data(), kN, kK, true}, 2, q.data(), grid.data());
    const RowTableForm form =
        QuantizeToRowTables(w.data(), kN, kK, *quantizer, 2);
    EXPECT_EQ(form.bits, 2);
    double squared = 0.0;
    double largest = 0.0;
    for (size_t i = 0; i < w.size(); ++i) {
      const size_t row = i / kK;
      const float stored =
          form.scales[row] *
          static_cast<float>(form.tables[row * 4 + form.indices[i]]);
      const double e = static_cast<double>(q[i]) - static_cast<double>(stored);
      squared += e * e;
      largest = std::max(largest,
                         std::fabs(e) / static_cast<double>(grid[row * 4 + 3]));
    }
    EXPECT_NEAR(form.squared_error, squared, 1e-12);
    EXPECT_NEAR(form.largest_error, largest, 1e-12);
    EXPECT_GT(form.largest_error, 0.0);
    EXPECT_LE(form.largest_error, 0.5 / 127.0 + 1e-6);
  }
}

TEST(RowTableTest, CenteredGridsFitToo) {
  auto w = RandomValues(kN * kK, 22);
  for (float& x : w) x += 3.0f;
  UniformOptions options;
  options.center = true;
  const RowTableForm form =
      QuantizeToRowTables(w.data(), kN, kK, *MakeUniformQuantizer(options), 3);
  EXPECT_LE(form.largest_error, 0.5 / 127.0 + 1e-6);
  EXPECT_LT(form.squared_error, 1e-4 * form.squared_sum);
}

TEST(RowTableTest, OneBitAndTernaryNeedNoTablePerRow) {
  const auto w = RandomValues(kN * kK, 23);
  for (const char* name : {"lsbq", "lsbq-optimal"}) {
    const auto quantizer = MakeQuantizer(name);
    for (const int bits : {0, 1}) {
      const LutForm form =
          QuantizeToLut(w.data(), kN, kK, *quantizer, bits, 16);
      const auto values = Dequantize(form, kN, kK, 16);
      EXPECT_TRUE(
          MatchGrid(values.data(), kN, kK, *quantizer, bits, 16, nullptr)
              .has_value());
    }
  }
}

TEST(RowTableTest, RefusesWhatHasNoTable) {
  std::vector<float> w(16, 1.0f);
  const std::vector<float> grid(32, 1.0f);
  EXPECT_THROW(ToRowTables(w.data(), 1, 16, grid.data(), 32), Error);
  EXPECT_THROW(ToRowTables(w.data(), 1, 16, grid.data(), 0), Error);
  w[3] = std::nanf("");
  EXPECT_THROW(ToRowTables(w.data(), 1, 16, grid.data(), 4), Error);
}

// Training ends on a grid that packs without loss, whatever the period.
TEST(ConversionPathTest, TrainedWeightsPackWithoutLoss) {
  constexpr int64_t kBlock = 16;
  for (const int64_t period : {1, 4}) {
    std::vector<float> w = RandomValues(8 * 64, 11, 0.02f);
    std::vector<float> grad(w.size());
    ParamGroup group;
    group.quant_bits = 2;
    group.quant_block_size = kBlock;
    group.parameters.push_back({"w", {8, 64}, w.data(), grad.data(), true});
    QuantOptimizerOptions options;
    options.per_channel = true;
    options.quant_period = period;
    QuantOptimizer optimizer(MakeAdamW({group}, {}), MakeStretchedQuantizer(),
                             MakeProxParq({0, 5, 10.0, 0.5}), options);
    for (uint32_t step = 0; step < 7; ++step) {
      const auto fresh = RandomValues(w.size(), step);
      std::copy(fresh.begin(), fresh.end(), grad.begin());
      optimizer.Step(nullptr);
    }
    GridMismatch why;
    const auto form =
        MatchGrid(w.data(), 8, 64, *MakeStretchedQuantizer(), 2, kBlock, &why);
    ASSERT_TRUE(form.has_value()) << why.ToString();
    EXPECT_EQ(Dequantize(*form, 8, 64, kBlock), w);
  }
}

// Upstream's conversion changes small weights, the default does not.
TEST(ConversionPathTest, EpsilonOfTrainingIsTheDefault) {
  const auto w = RandomValues(64, 12, 1e-9f);
  const auto quantizer = MakeStretchedQuantizer();
  std::vector<float> q(64);
  std::vector<float> grid(4);
  quantizer->Quantize({w.data(), 1, 64, true}, 2, q.data(), grid.data());
  EXPECT_EQ(Dequantize(ConvertStretched(w.data(), 1, 64, 2, 0)), q);
  EXPECT_NE(Dequantize(ConvertStretched(w.data(), 1, 64, 2, 0,
                                        std::numeric_limits<float>::epsilon())),
            q);
}

}  // namespace
}  // namespace lutra::qat
