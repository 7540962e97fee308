#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "lutra/packer/pack.h"
#include "tests/packer/two_layers.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

// Quantizers whose levels are no multiples of one table: a table per row.

namespace lutra::packer {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// A level is rounded to a multiple of 1/127 of the row's largest one.
void ExpectRoundedLevels(const std::vector<float>& packed,
                         const std::vector<float>& exact, size_t k) {
  ASSERT_EQ(packed.size(), exact.size());
  for (size_t row = 0; row < exact.size(); row += k) {
    float largest = 0.0f;
    for (size_t i = row; i < row + k; ++i) {
      largest = std::max(largest, std::abs(exact[i]));
    }
    for (size_t i = row; i < row + k; ++i) {
      EXPECT_NEAR(packed[i], exact[i], largest * (0.5f / 127 + 1e-5f)) << i;
    }
  }
}

TEST(RowTablesTest, PostTraining) {
  for (const int bits : {2, 3, 4}) {
    const qat::QuantScheme scheme{"lsbq", bits, 0};
    const TempDir dir;
    const TwoLayers layers;
    const auto model = layers.Load(dir / "float.safetensors");
    PackOptions options;
    options.rules = qat::SchemeRules(scheme);
    const PackReport report =
        PackModel(*model, dir / "packed.safetensors", options);

    EXPECT_EQ(report.weights[0].method, PackMethod::kPostTraining);
    const auto packed = Model::Load(dir / "packed.safetensors");
    const kernels::LutMatrix* w1 = packed->packed("fc1.weight");
    ASSERT_NE(w1, nullptr);
    EXPECT_EQ(w1->format.bits, static_cast<uint32_t>(bits));
    EXPECT_EQ(w1->format.table_granularity, kernels::TableGranularity::kRow);
    ExpectRoundedLevels(Dequantized(*w1), Quantized(layers.w1, kK1, scheme),
                        kK1);
  }
}

TEST(RowTablesTest, TrainedLevelsAreRoundedAndTheLossIsReported) {
  const qat::QuantScheme scheme{"lsbq", 2, 0};
  const TempDir dir;
  TwoLayers layers = TrainedLayers(scheme);
  const auto model = layers.Load(dir / "trained.safetensors");

  const PackReport report = PackModel(*model, dir / "packed.safetensors", {});

  const auto packed = Model::Load(dir / "packed.safetensors");
  const std::vector<float> values = Dequantized(*packed->packed("fc1.weight"));
  ExpectRoundedLevels(values, layers.w1, kK1);
  double largest = 0.0;
  for (size_t i = 0; i < values.size(); ++i) {
    largest = std::max(largest,
                       std::abs(static_cast<double>(values[i]) - layers.w1[i]));
  }
  EXPECT_GT(largest, 0.0);
  EXPECT_EQ(report.weights[0].method, PackMethod::kRounded);
  EXPECT_DOUBLE_EQ(report.weights[0].max_error, largest);
  EXPECT_GT(report.weights[0].sqnr_db, 35.0);
  EXPECT_TRUE(std::isfinite(report.weights[0].sqnr_db));
}

TEST(RowTablesTest, TrainedWeightsWithTooManyLevelsAreRefused) {
  const qat::QuantScheme scheme{"lsbq", 2, 0};
  const TempDir dir;
  TwoLayers layers;
  layers.w1 = Quantized(layers.w1, kK1, scheme);
  layers.w2 = Quantized(layers.w2, kK2, scheme);
  layers.w1[3 * kK1 + 5] = 0.01f;
  layers.schemes = {{"fc1.weight", scheme}, {"fc2.weight", scheme}};
  const auto model = layers.Load(dir / "trained.safetensors");
  EXPECT_THAT(
      ErrorMessage([&] { PackModel(*model, dir / "packed.safetensors", {}); }),
      AllOf(HasSubstr("trained.safetensors: tensor 'fc1.weight'"),
            HasSubstr("row 3 has more than 4 levels")));
  EXPECT_FALSE(std::filesystem::exists(dir / "packed.safetensors"));
}

// Levels that differ by rounding are one; those that differ by more are not.
TEST(RowTablesTest, LevelsThatDifferByRoundingAreOne) {
  const qat::QuantScheme scheme{"lsbq", 2, 0};
  for (const float difference : {4e-6f, 4e-5f}) {
    const TempDir dir;
    TwoLayers layers = TrainedLayers(scheme);
    const float levels[] = {-1.0f, -0.25f, 0.25f, 1.0f, 1.0f + difference};
    for (size_t i = 0; i < kK1; ++i) layers.w1[2 * kK1 + i] = levels[i % 5];
    const auto model = layers.Load(dir / "trained.safetensors");
    const auto pack = [&] {
      PackModel(*model, dir / "packed.safetensors", {});
    };
    if (difference > 1e-5f) {
      EXPECT_THAT(ErrorMessage(pack),
                  HasSubstr("row 2 has more than 4 levels"));
      continue;
    }
    pack();
    const auto packed = Model::Load(dir / "packed.safetensors");
    ExpectRoundedLevels(Dequantized(*packed->packed("fc1.weight")), layers.w1,
                        kK1);
  }
}

// A table has 16 entries at most.
TEST(RowTablesTest, FiveBitsAreRefused) {
  const TempDir dir;
  const auto model = TwoLayers().Load(dir / "float.safetensors");
  PackOptions options;
  options.rules = qat::SchemeRules({"lsbq", 5, 0});
  EXPECT_THAT(ErrorMessage([&] {
                PackModel(*model, dir / "packed.safetensors", options);
              }),
              HasSubstr("its levels are no int8 values, nor do they fit a "
                        "table"));
}

TEST(RowTablesTest, GroupsAreRefused) {
  const TempDir dir;
  const TwoLayers layers;
  const auto model = layers.Load(dir / "float.safetensors");
  PackOptions options;
  options.rules = qat::SchemeRules({"lsbq", 2, 16});
  EXPECT_THAT(ErrorMessage([&] {
                PackModel(*model, dir / "packed.safetensors", options);
              }),
              AllOf(HasSubstr("fc1.weight"), HasSubstr("table per row"),
                    HasSubstr("'row'")));
}

}  // namespace
}  // namespace lutra::packer
