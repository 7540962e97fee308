#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "lutra/packer/pack.h"
#include "lutra/runtime/session.h"
#include "tests/packer/two_layers.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra::packer {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

using Scheme = std::tuple<const char*, int, int64_t>;

class TrainedGridTest : public ::testing::TestWithParam<Scheme> {};

TEST_P(TrainedGridTest, PacksWithoutLoss) {
  const auto [quantizer, bits, group_size] = GetParam();
  const qat::QuantScheme scheme{quantizer, bits, group_size};
  const TempDir dir;
  TwoLayers layers = TrainedLayers(scheme);
  const auto model = layers.Load(dir / "trained.safetensors");

  const PackReport report = PackModel(*model, dir / "packed.safetensors", {});

  ASSERT_EQ(report.weights.size(), 2u);
  for (const TensorReport& tensor : report.weights) {
    EXPECT_EQ(tensor.method, PackMethod::kTrained) << tensor.name;
    EXPECT_EQ(tensor.scheme, scheme) << tensor.name;
    EXPECT_TRUE(std::isinf(tensor.sqnr_db)) << tensor.name;
    EXPECT_GT(tensor.sqnr_db, 0) << tensor.name;
    EXPECT_EQ(tensor.max_error, 0) << tensor.name;
  }
  const auto packed = Model::Load(dir / "packed.safetensors");
  const kernels::LutMatrix* w1 = packed->packed("fc1.weight");
  const kernels::LutMatrix* w2 = packed->packed("fc2.weight");
  ASSERT_NE(w1, nullptr);
  ASSERT_NE(w2, nullptr);
  // There are no tables of 6 bits.
  EXPECT_EQ(w1->format.bits, static_cast<uint32_t>(bits > 4 ? 8 : bits));
  const std::vector<float> values = Dequantized(*w1);
  // No quantizer of this test has a zero, so equal numbers are equal bits.
  EXPECT_EQ(std::memcmp(values.data(), layers.w1.data(),
                        values.size() * sizeof(float)),
            0);
  EXPECT_EQ(Dequantized(*w2), layers.w2);
}

INSTANTIATE_TEST_SUITE_P(
    Schemes, TrainedGridTest,
    ::testing::Values(Scheme{"stretched", 1, 0}, Scheme{"stretched", 2, 0},
                      Scheme{"stretched", 2, 16}, Scheme{"stretched", 3, 16},
                      Scheme{"stretched", 4, 0}, Scheme{"stretched", 4, 32},
                      Scheme{"uniform", 2, 16}, Scheme{"uniform", 4, 0}));

// On a stretched grid they are subnormal.
TEST(TrainedTest, GroupsOfZerosKeepTheirBits) {
  const qat::QuantScheme scheme{"stretched", 2, 16};
  const TempDir dir;
  TwoLayers layers;
  std::fill_n(layers.w1.begin(), kK1, 0.0f);
  layers.w1 = Quantized(layers.w1, kK1, scheme);
  ASSERT_EQ(std::fpclassify(layers.w1[0]), FP_SUBNORMAL);
  layers.schemes = {{"fc1.weight", scheme}};
  const auto model = layers.Load(dir / "trained.safetensors");
  const PackReport report = PackModel(*model, dir / "packed.safetensors", {});
  EXPECT_TRUE(std::isinf(report.weights[0].sqnr_db));
  const auto packed = Model::Load(dir / "packed.safetensors");
  EXPECT_EQ(Dequantized(*packed->packed("fc1.weight")), layers.w1);
}

TEST(TrainedTest, PackedModelComputesWhatTheTrainedOneDoes) {
  const qat::QuantScheme scheme{"stretched", 2, 16};
  const TempDir dir;
  TwoLayers layers = TrainedLayers(scheme);
  const auto model = layers.Load(dir / "trained.safetensors");
  PackModel(*model, dir / "packed.safetensors", {});

  const std::vector<float> x = RandomFloats(kK1, 9);
  const auto run = [&x](std::shared_ptr<const Model> m) {
    ProgramOptions options;
    options.activations = kernels::ActivationType::kFloat32;
    options.threads = 1;
    Session session(std::move(m), options);
    std::vector<float> y(kN2);
    const void* const inputs[] = {x.data()};
    float* const outputs[] = {y.data()};
    session.Run(1, inputs, outputs);
    return y;
  };
  const std::vector<float> expected = run(model);
  const std::vector<float> actual =
      run(Model::Load(dir / "packed.safetensors"));
  for (size_t i = 0; i < kN2; ++i) {
    EXPECT_NEAR(actual[i], expected[i], 1e-4 * std::abs(expected[i]) + 1e-4);
  }
}

TEST(TrainedTest, ValueOffTheGridIsNamed) {
  const qat::QuantScheme scheme{"stretched", 2, 16};
  const TempDir dir;
  TwoLayers layers;
  layers.w1 = Quantized(layers.w1, kK1, scheme);
  layers.w1[7 * kK1 + 33] *= 1.25f;
  layers.schemes = {{"fc1.weight", scheme}};
  const auto model = layers.Load(dir / "trained.safetensors");
  const std::string message =
      ErrorMessage([&] { PackModel(*model, dir / "packed.safetensors", {}); });
  EXPECT_THAT(message,
              AllOf(HasSubstr("trained.safetensors"), HasSubstr("'fc1.weight'"),
                    HasSubstr("row 7, column 3"), HasSubstr("(group 2): "),
                    HasSubstr("2-bit stretched, groups of 16")));
  EXPECT_FALSE(std::filesystem::exists(dir / "packed.safetensors"));
}

// Rows are packed task by task, 1365 of these at a time; messages count from
// the first.
TEST(TrainedTest, ValuesOfLaterTasksAreNamed) {
  constexpr size_t kRows = 3000;
  const qat::QuantScheme scheme{"stretched", 2, 16};
  const std::vector<float> good =
      Quantized(RandomFloats(kRows * kK1, 4), kK1, scheme);
  const auto message = [&](float wrong) {
    const TempDir dir;
    std::vector<float> w = good;
    w[2345 * kK1 + 17] = wrong;
    ModelBuilder builder;
    builder.Input("x", {kK1})
        .Add(OpType::kLinear, {"x"}, "y", "w")
        .Output("y")
        .Floats("w", {kRows, kK1}, w)
        .Metadata(kSchemesKey, qat::SchemesToJson({{"w", scheme}}));
    builder.Write(dir / "m.safetensors");
    const auto model = Model::Load(dir / "m.safetensors");
    return ErrorMessage([&] { PackModel(*model, dir / "p.safetensors", {}); });
  };
  EXPECT_THAT(message(99.5f),
              AllOf(HasSubstr("row 2345, column 1"), HasSubstr("(group 1): ")));
  EXPECT_THAT(message(std::numeric_limits<float>::infinity()),
              HasSubstr("the value at row 2345, column 17 is inf"));
}

// The scheme may be wrong rather than the weights.
TEST(TrainedTest, WrongBitsAreNoticed) {
  const TempDir dir;
  TwoLayers layers;
  layers.w1 = Quantized(layers.w1, kK1, {"stretched", 4, 16});
  layers.schemes = {{"fc1.weight", {"stretched", 2, 16}}};
  const auto model = layers.Load(dir / "trained.safetensors");
  EXPECT_THROW(PackModel(*model, dir / "packed.safetensors", {}), Error);
}

// What training left float stays float.
TEST(TrainedTest, UntrainedWeightsOfATrainedModelAreKept) {
  const qat::QuantScheme scheme{"stretched", 2, 0};
  const TempDir dir;
  TwoLayers layers;
  layers.w1 = Quantized(layers.w1, kK1, scheme);
  layers.schemes = {{"fc1.weight", scheme}};
  const auto model = layers.Load(dir / "trained.safetensors");
  const PackReport report = PackModel(*model, dir / "packed.safetensors", {});
  EXPECT_EQ(report.weights[0].method, PackMethod::kTrained);
  EXPECT_EQ(report.weights[1].method, PackMethod::kKept);
  EXPECT_EQ(report.weights[1].bits_per_weight, 32);
}

TEST(TrainedTest, RuleOverridesTheRecordedScheme) {
  const qat::QuantScheme scheme{"stretched", 4, 0};
  const TempDir dir;
  TwoLayers layers = TrainedLayers(scheme);
  const auto model = layers.Load(dir / "trained.safetensors");
  PackOptions options;
  options.rules.AddRule("fc1=bits:2,group-size:16");
  const PackReport report =
      PackModel(*model, dir / "packed.safetensors", options);
  EXPECT_EQ(report.weights[0].method, PackMethod::kPostTraining);
  EXPECT_EQ(report.weights[0].scheme, (qat::QuantScheme{"stretched", 2, 16}));
  EXPECT_GT(report.weights[0].max_error, 0);
  EXPECT_EQ(report.weights[1].method, PackMethod::kTrained);

  options.use_trained = false;
  const PackReport all = PackModel(*model, dir / "packed.safetensors", options);
  EXPECT_EQ(all.weights[1].method, PackMethod::kPostTraining);
}

}  // namespace
}  // namespace lutra::packer
