#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "lutra/packer/pack.h"
#include "lutra/packer/verify.h"
#include "lutra/packer/weights.h"
#include "lutra/qat/trainable_model.h"
#include "lutra/runtime/error.h"
#include "tests/packer/two_layers.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

// Weights that are stored as 8-bit floats in place of being packed.

namespace lutra::packer {
namespace {

using ::testing::HasSubstr;

const std::vector<qat::QuantScheme> kSchemes = {
    {"fp8e4m3", 8, 0},
    {"fp8e4m3", 8, 16},
    {"fp8e5m2", 8, 32},
    {"fp6e3m2", 6, 16},
    {"mxfp8e4m3", 8, 16, qat::ScaleType::kPowerOfTwo},
    {"mxfp6e3m2", 6, 32, qat::ScaleType::kPowerOfTwo},
    {"mxfp8e5m2", 8, 16}};

class FloatStoreTest : public ::testing::TestWithParam<qat::QuantScheme> {
 protected:
  Span<const float> Weight(const Model& model, const char* name) {
    return model.file().Get(name).Floats("model");
  }
  void ExpectWeights(const Model& model, const std::vector<float>& w1) {
    const Span<const float> weight = Weight(model, "fc1.weight");
    EXPECT_EQ(std::vector<float>(weight.begin(), weight.end()), w1);
  }
  std::filesystem::path Stored() const { return dir_ / "stored.safetensors"; }

  TempDir dir_;
};

TEST_P(FloatStoreTest, PostTrainingTakesTheQuantizersValues) {
  const TwoLayers layers;
  const auto model = layers.Load(dir_ / "float.safetensors");
  PackOptions options;
  options.rules = qat::SchemeRules(GetParam());
  const PackReport report = PackModel(*model, Stored(), options);
  const auto stored = Model::Load(Stored());
  ExpectWeights(*stored, Quantized(layers.w1, kK1, GetParam()));
  const TensorReport& tensor = report.weights[0];
  EXPECT_EQ(tensor.method, PackMethod::kPostTraining);
  EXPECT_GT(tensor.sqnr_db, 20.0);
  EXPECT_LT(tensor.sqnr_db, 50.0);
  // Of 48 columns, groups of 32 have two scales each, groups of 16 three.
  const size_t groups = GetParam().group_size == 0 ? 1 : 3;
  const size_t scale_bytes =
      GetParam().scale_type == qat::ScaleType::kPowerOfTwo ? 1 : 4;
  EXPECT_EQ(tensor.bytes, kN1 * kK1 + kN1 * groups * scale_bytes);
  EXPECT_EQ(stored->stored("fc1.weight")->bytes, tensor.bytes);
  EXPECT_EQ(Weights(*stored)[0].bytes, tensor.bytes);

  VerifyOptions verify;
  verify.against = model.get();
  EXPECT_EQ(VerifyModel(*stored, verify).problem_count, 0u);
  verify.min_sqnr_db = 100;
  EXPECT_GT(VerifyModel(*stored, verify).problem_count, 0u);
}

TEST_P(FloatStoreTest, TrainedWeightsLoseNothing) {
  const TwoLayers layers = TrainedLayers(GetParam());
  const auto model = layers.Load(dir_ / "float.safetensors");
  CheckSchemes(*model, layers.schemes);
  const PackReport report = PackModel(*model, Stored(), {});
  for (const TensorReport& tensor : report.weights) {
    EXPECT_EQ(tensor.method, PackMethod::kTrained);
    EXPECT_EQ(tensor.sqnr_db, std::numeric_limits<double>::infinity());
  }
  const auto stored = Model::Load(Stored());
  ExpectWeights(*stored, layers.w1);
  VerifyOptions verify;
  verify.against = model.get();
  EXPECT_EQ(VerifyModel(*stored, verify).problem_count, 0u);
  // They can be trained on, and stored anew.
  const qat::TrainableModel again = qat::LoadTrainableModel(Stored());
  EXPECT_EQ(again.parameters.find("fc1.weight")->second.values, layers.w1);
  EXPECT_TRUE(again.others.empty());
}

TEST_P(FloatStoreTest, WeightsOffTheGridAreNamed) {
  TwoLayers layers = TrainedLayers(GetParam());
  layers.w2[kK2 + 3] *= 1.01f;
  const auto model = layers.Load(dir_ / "float.safetensors");
  EXPECT_THAT(ErrorMessage([&] { PackModel(*model, Stored(), {}); }),
              HasSubstr("tensor 'fc2.weight': row 1, column 3"));
  EXPECT_FALSE(std::filesystem::exists(Stored()));
  layers.w2[5] = NAN;
  const auto bad = layers.Load(dir_ / "bad.safetensors");
  EXPECT_THAT(ErrorMessage([&] { PackModel(*bad, Stored(), {}); }),
              HasSubstr("the value at row 0, column 5 is nan"));
}

INSTANTIATE_TEST_SUITE_P(All, FloatStoreTest, ::testing::ValuesIn(kSchemes));

TEST(FloatStorePlanTest, WhatCannotBeStoredIsSaid) {
  const TempDir dir;
  const auto model = TwoLayers().Load(dir / "float.safetensors");
  const auto failure = [&](const qat::QuantScheme& scheme) {
    return ErrorMessage([&] {
      CheckSchemes(*model, {{"fc1.weight", scheme}});
    });
  };
  EXPECT_THAT(failure({"fp8e4m3", 8, 16, qat::ScaleType::kBFloat16}),
              HasSubstr("float32"));
  EXPECT_THAT(failure({"fp8e4m3", 8, 16, qat::ScaleType::kPowerOfTwo}),
              HasSubstr("float32"));
}

}  // namespace
}  // namespace lutra::packer
