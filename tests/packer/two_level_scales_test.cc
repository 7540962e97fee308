// Scales of two levels in packing.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "kernels/base/half.h"
#include "lutra/packer/pack.h"
#include "lutra/packer/verify.h"
#include "packer/assign/plan.h"
#include "packer/encode/two_level_scales.h"
#include "tests/packer/two_layers.h"
#include "tests/temp_dir.h"

namespace lutra::packer {
namespace {

using kernels::LutFormat;
using kernels::ScaleType;
using kernels::SuperSpan;

constexpr size_t kRows = 20;
constexpr size_t kColumns = 1024;

LutFormat Format(uint32_t k, uint32_t group_size) {
  return {.n = 16, .k = k, .bits = 2, .group_size = group_size};
}

TEST(TwoLevelScalesTest, WhereTheyAreSmaller) {
  const auto by_columns = WithTwoLevels(Format(1024, 32));
  ASSERT_TRUE(by_columns);
  EXPECT_EQ(by_columns->scale_type, ScaleType::kInt8);
  EXPECT_EQ(by_columns->super_span, SuperSpan::kColumns256);
  const auto by_row = WithTwoLevels(Format(1024, 48));
  ASSERT_TRUE(by_row);
  EXPECT_EQ(by_row->super_span, SuperSpan::kRow);
  EXPECT_EQ(WithTwoLevels(Format(48, 16)), std::nullopt);
  EXPECT_EQ(WithTwoLevels(Format(1024, 1024)), std::nullopt);
}

TEST(TwoLevelScalesTest, NearAndNeverBehindTheLargestNumber) {
  const LutFormat format = *WithTwoLevels(Format(1024, 32));
  std::mt19937 rng(1);
  std::lognormal_distribution<float> draw(-4, 0.5f);
  for (int round = 0; round < 100; ++round) {
    std::vector<double> weights(32);
    std::vector<float> scales(32);
    for (float& scale : scales) scale = draw(rng);
    for (double& weight : weights) weight = 1 + static_cast<double>(rng() % 9);
    if (round == 0) scales.assign(32, 0.0f);
    if (round == 1) scales[3] = -scales[3];
    const std::vector<float> before = scales;
    std::vector<float> supers(4);
    RoundToTwoLevels(format, weights, scales, supers);
    for (size_t span = 0; span < 4; ++span) {
      float largest = 0;
      for (size_t i = span * 8; i < span * 8 + 8; ++i) {
        largest = std::max(largest, std::abs(before[i]));
      }
      double cost = 0;
      double with_most = 0;
      for (size_t i = span * 8; i < span * 8 + 8; ++i) {
        if (supers[span] != 0) {
          const float number = scales[i] / supers[span];
          EXPECT_EQ(number, std::nearbyint(number));
          EXPECT_LE(std::abs(number), 127);
        }
        // Numbers up to 64 or more: half a step is 1/128 of the largest.
        EXPECT_NEAR(scales[i], before[i], largest / 127.5f);
        const float step = RoundToBFloat16(largest / 127);
        const float plain =
            step == 0 ? 0
                      : std::clamp(std::nearbyint(before[i] / step), -127.0f,
                                   127.0f) *
                            step;
        cost += weights[i] * std::pow(double{scales[i]} - before[i], 2);
        with_most += weights[i] * std::pow(double{plain} - before[i], 2);
      }
      EXPECT_LE(cost, with_most);
    }
  }
}

class PackTwoLevelsTest : public ::testing::Test {
 protected:
  std::shared_ptr<const Model> Load(const qat::SchemeMap& trained = {}) const {
    ModelBuilder builder;
    builder.Input("x", {kColumns})
        .Add(OpType::kLinear, {"x"}, "y", "fc.weight")
        .Output("y")
        .Floats("fc.weight", {kRows, kColumns}, w_);
    if (!trained.empty()) {
      builder.Metadata(kSchemesKey, qat::SchemesToJson(trained));
    }
    builder.Write(dir_ / "float.safetensors");
    return Model::Load(dir_ / "float.safetensors");
  }
  PackReport Pack(const Model& model, const qat::QuantScheme& scheme) const {
    PackOptions options;
    options.rules = qat::SchemeRules(scheme);
    return PackModel(model, dir_ / "packed.safetensors", options);
  }

  TempDir dir_;
  std::vector<float> w_ = RandomFloats(kRows * kColumns, 1);
};

TEST_F(PackTwoLevelsTest, SmallerAndAsGood) {
  const auto model = Load();
  for (const char* quantizer : {"stretched", "mse", "kmeans", "absmax"}) {
    SCOPED_TRACE(quantizer);
    qat::QuantScheme scheme{quantizer, 3, 32, qat::ScaleType::kFloat16};
    const TensorReport plain = Pack(*model, scheme).weights[0];
    scheme.scale_type = qat::ScaleType::kTwoLevels;
    const TensorReport report = Pack(*model, scheme).weights[0];
    // 32 groups of 16 bytes less in each of two row blocks, four spans of 32
    // bytes more.
    EXPECT_EQ(report.bytes + 2 * (32 * 16 - 4 * 32), plain.bytes);
    EXPECT_NEAR(report.sqnr_db, plain.sqnr_db, 0.05);
    const auto packed = Model::Load(dir_ / "packed.safetensors");
    EXPECT_EQ(packed->packed("fc.weight")->format.scale_type, ScaleType::kInt8);
    EXPECT_EQ(qat::ParseSchemes(
                  packed->file().metadata().at(std::string(kSchemesKey)), "")
                  .at("fc.weight")
                  .scale_type,
              qat::ScaleType::kTwoLevels);
    const VerifyReport verdict = VerifyModel(*packed, {});
    EXPECT_THAT(verdict.problems, ::testing::IsEmpty());
    EXPECT_THAT(verdict.tensors.at(0).problems, ::testing::IsEmpty());
  }
}

// A grid that was trained keeps its indices.
TEST_F(PackTwoLevelsTest, OfATrainedGrid) {
  const qat::QuantScheme scheme{"stretched", 2, 64};
  w_ = Quantized(w_, kColumns, scheme);
  const auto model = Load({{"fc.weight", scheme}});
  qat::QuantScheme two_levels = scheme;
  two_levels.scale_type = qat::ScaleType::kTwoLevels;
  const TensorReport report = Pack(*model, two_levels).weights[0];
  EXPECT_EQ(report.method, PackMethod::kRounded);
  EXPECT_GT(report.sqnr_db, 40);
  const auto packed = Model::Load(dir_ / "packed.safetensors");
  const std::vector<float> values = Dequantized(*packed->packed("fc.weight"));
  for (size_t i = 0; i < w_.size(); ++i) {
    EXPECT_NEAR(values[i], w_[i], std::abs(w_[i]) / 32);
  }
}

// Rows that are too short take 16-bit scales.
TEST_F(PackTwoLevelsTest, ShortRows) {
  const TwoLayers layers;
  const auto model = layers.Load(dir_ / "short.safetensors");
  Pack(*model, {"stretched", 2, 16, qat::ScaleType::kTwoLevels});
  const auto packed = Model::Load(dir_ / "packed.safetensors");
  EXPECT_EQ(packed->packed("fc1.weight")->format.scale_type,
            ScaleType::kFloat16);
}

}  // namespace
}  // namespace lutra::packer
