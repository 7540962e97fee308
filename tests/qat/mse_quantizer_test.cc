#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "lutra/qat/quantizers.h"
#include "tests/qat/random_values.h"

// The quantizers that minimise the squared error, against plain searches.

namespace lutra::qat {
namespace {

double SquaredError(const std::vector<float>& p, const Quantizer& quantizer,
                    int bits) {
  std::vector<float> q(p.size());
  std::vector<float> grid(quantizer.GridSize(bits));
  quantizer.Quantize({p.data(), 1, p.size(), true}, bits, q.data(),
                     grid.data());
  double error = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    const double e = double{p[i]} - double{q[i]};
    error += e * e;
  }
  return error;
}

// With the table times `scale`, each value on the nearest level.
double SquaredError(const std::vector<float>& p,
                    const std::vector<int8_t>& table, double scale) {
  double error = 0;
  for (const float value : p) {
    double least = std::numeric_limits<double>::infinity();
    for (const int level : table) {
      least = std::min(least, std::abs(double{value} - scale * level));
    }
    error += least * least;
  }
  return error;
}

double LargestScale(const std::vector<float>& p,
                    const std::vector<int8_t>& table) {
  const auto [min, max] = std::minmax_element(p.begin(), p.end());
  return double{std::max(-*min, *max)} / table.back();
}

// Normal, uniform, one-sided, with outliers, and few values.
std::vector<std::vector<float>> Groups() {
  std::vector<std::vector<float>> groups;
  for (uint32_t seed = 1; seed <= 12; ++seed) {
    const size_t sizes[] = {64, 32, 128, 5};
    std::vector<float> p = RandomValues(sizes[seed % 4], seed);
    for (size_t i = 0; i < p.size(); ++i) {
      if (seed % 3 == 1) p[i] = p[i] * p[i] * p[i];
      if (seed % 3 == 2) p[i] = std::abs(p[i]);
    }
    groups.push_back(std::move(p));
  }
  groups.push_back({0.7f});
  groups.push_back({-0.7f, 0.1f});
  return groups;
}

class MseQuantizerTest : public testing::TestWithParam<bool> {
 protected:
  std::vector<int> Bits() const {
    return GetParam() ? std::vector<int>{1, 2, 3, 4}
                      : std::vector<int>{0, 2, 3, 4, 8};
  }
  std::unique_ptr<Quantizer> quantizer_ = MakeMseQuantizer(GetParam());
};

TEST_P(MseQuantizerTest, NoScaleOfADenseGridIsBetter) {
  for (const int bits : Bits()) {
    const std::vector<int8_t> table = *quantizer_->LutTable(bits);
    for (const std::vector<float>& p : Groups()) {
      const double found = SquaredError(p, *quantizer_, bits);
      const double largest = LargestScale(p, table);
      constexpr int kSteps = 1000;
      for (int i = 1; i <= kSteps; ++i) {
        const double scale = largest * i / kSteps;
        ASSERT_LE(found, SquaredError(p, table, scale) * (1 + 1e-6) + 1e-12)
            << bits << " bits, " << p.size() << " values, step " << i;
      }
    }
  }
}

// Found exactly, so a grid of scales comes near but never there.
TEST_P(MseQuantizerTest, IsNotFarFromTheDenseGridEither) {
  const std::vector<float> p = RandomValues(64, 5);
  const std::vector<int8_t> table = *quantizer_->LutTable(3);
  const double largest = LargestScale(p, table);
  double least = std::numeric_limits<double>::infinity();
  for (int i = 1; i <= 10000; ++i) {
    least = std::min(least, SquaredError(p, table, largest * i / 10000));
  }
  EXPECT_NEAR(SquaredError(p, *quantizer_, 3), least, 1e-3 * least);
}

TEST_P(MseQuantizerTest, IsNoWorseThanOtherScales) {
  for (const std::vector<float>& p : Groups()) {
    for (const int bits : {2, 3, 4}) {
      const double found = SquaredError(p, *quantizer_, bits) * (1 - 1e-6);
      const char* other = GetParam() ? "stretched" : "intx-no-clipping";
      EXPECT_LE(found, SquaredError(p, *MakeQuantizer(other), bits));
      if (!GetParam()) {
        EXPECT_LE(found, SquaredError(p, *MakeQuantizer("absmax"), bits));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, MseQuantizerTest, testing::Bool(),
                         [](const auto& test_info) {
                           return std::string(test_info.param ? "Stretched"
                                                              : "Integers");
                         });

// 4-bit floats: what a dense grid of scales finds is no better.
TEST(Float4QuantizerTest, NoScaleOfADenseGridIsBetter) {
  const auto quantizer = MakeQuantizer("fp4");
  const std::vector<int8_t> table = *quantizer->LutTable(4);
  EXPECT_EQ(table, (std::vector<int8_t>{-12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3,
                                        4, 6, 8, 12, 12}));
  for (const std::vector<float>& p : Groups()) {
    const double found = SquaredError(p, *quantizer, 4);
    const double largest = LargestScale(p, table);
    for (int i = 1; i <= 1000; ++i) {
      ASSERT_LE(found,
                SquaredError(p, table, largest * i / 1000) * (1 + 1e-6) + 1e-12)
          << p.size() << " values, step " << i;
    }
  }
}

// Scale and offset against plain search over both.
TEST(MseAsymmetricQuantizerTest, IsNearTheBestOfADenseGrid) {
  const auto quantizer = MakeQuantizer("mse-asymmetric");
  for (const int bits : {1, 2, 3}) {
    const int last = (1 << bits) - 1;
    for (const std::vector<float>& p : Groups()) {
      if (p.size() < 32) continue;
      const auto [min, max] = std::minmax_element(p.begin(), p.end());
      const double range = double{*max} - *min;
      double least = std::numeric_limits<double>::infinity();
      for (int i = 10; i <= 40; ++i) {
        for (int j = -20; j <= 20; ++j) {
          const double scale = range * i / 40 / last;
          const double offset =
              (double{*max} + *min) / 2 + range * j / 80 - scale * last / 2;
          double error = 0;
          for (const float value : p) {
            const double k = std::clamp(
                std::nearbyint((value - offset) / scale), 0.0, double(last));
            error += std::pow(value - offset - k * scale, 2);
          }
          least = std::min(least, error);
        }
      }
      const double found = SquaredError(p, *quantizer, bits);
      EXPECT_LE(found, 1.12 * least) << bits << " bits";
      EXPECT_LE(found, (1 + 1e-6) *
                           SquaredError(p, *MakeQuantizer("asymmetric-uniform"),
                                        bits));
    }
  }
}

TEST(LearnedTableNameTest, IsKnownToSchemesButNotToTraining) {
  EXPECT_EQ(FindLearnedTable("kmeans"), LearnedTable::kTensor);
  EXPECT_EQ(FindLearnedTable("kmeans-row"), LearnedTable::kRow);
  EXPECT_EQ(FindLearnedTable("mse"), std::nullopt);
  EXPECT_NO_THROW(CheckLearnedTableBits("kmeans", 0));
  EXPECT_NO_THROW(CheckLearnedTableBits("kmeans", 4));
  EXPECT_ANY_THROW(CheckLearnedTableBits("kmeans", 5));
  try {
    MakeQuantizer("kmeans");
    FAIL();
  } catch (const std::exception& error) {
    EXPECT_NE(std::string(error.what()).find("cannot train"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace lutra::qat
