#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "lutra/packer/pack.h"
#include "tests/packer/two_layers.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra::packer {
namespace {

struct Errors {
  double sqnr_db = 0;
  double max_error = 0;
};

Errors Measure(const std::vector<float>& w, const std::vector<float>& q) {
  double signal = 0;
  double noise = 0;
  Errors errors;
  for (size_t i = 0; i < w.size(); ++i) {
    const double error = double{w[i]} - double{q[i]};
    signal += double{w[i]} * double{w[i]};
    noise += error * error;
    errors.max_error = std::max(errors.max_error, std::abs(error));
  }
  errors.sqnr_db = 10 * std::log10(signal / noise);
  return errors;
}

TEST(PostTrainingTest, WeightsAreTheQuantizersAndTheReportIsTrue) {
  for (const qat::QuantScheme& scheme : {qat::QuantScheme{"stretched", 2, 16},
                                         {"stretched", 4, 32},
                                         {"stretched", 2, 0},
                                         {"uniform", 2, 16},
                                         {"fp6e2m3", 6, 16},
                                         {"max-uniform", 4, 16}}) {
    SCOPED_TRACE(qat::ToString(scheme));
    const TempDir dir;
    const TwoLayers layers;
    const auto model = layers.Load(dir / "float.safetensors");
    PackOptions options;
    options.rules = qat::SchemeRules(scheme);
    const PackReport report =
        PackModel(*model, dir / "packed.safetensors", options);

    const auto packed = Model::Load(dir / "packed.safetensors");
    const std::vector<float> expected = Quantized(layers.w1, kK1, scheme);
    EXPECT_EQ(Dequantized(*packed->packed("fc1.weight")), expected);

    const TensorReport& tensor = report.weights[0];
    const Errors errors = Measure(layers.w1, expected);
    EXPECT_EQ(tensor.name, "fc1.weight");
    EXPECT_EQ(tensor.n, int64_t{kN1});
    EXPECT_EQ(tensor.k, int64_t{kK1});
    EXPECT_EQ(tensor.method, PackMethod::kPostTraining);
    EXPECT_NEAR(tensor.sqnr_db, errors.sqnr_db, 1e-9);
    EXPECT_EQ(tensor.max_error, errors.max_error);
    EXPECT_EQ(tensor.bytes, packed->file().Get("fc1.weight").data.size());
    EXPECT_EQ(tensor.bits_per_weight,
              8.0 * static_cast<double>(tensor.bytes) / (kN1 * kK1));
  }
}

// Levels with offsets: those of the quantizer, to the rounding of a product and
// a sum.
TEST(PostTrainingTest, AsymmetricGroupsHaveOffsets) {
  const TempDir dir;
  TwoLayers layers;
  for (float& w : layers.w1) w = w * w;
  const auto model = layers.Load(dir / "float");
  for (const char* const quantizer :
       {"intx-asymmetric", "intx-asymmetric-no-zero", "asymmetric-uniform",
        "mse-asymmetric", "int4"}) {
    for (const auto& [bits, group] : {std::pair{4, 16}, {2, 32}, {8, 0}}) {
      if (std::string(quantizer) == "int4" && bits != 4) continue;
      const qat::QuantScheme scheme{quantizer, bits, group};
      SCOPED_TRACE(qat::ToString(scheme));
      PackOptions options;
      options.rules = qat::SchemeRules(scheme);
      PackModel(*model, dir / "packed", options);
      const auto packed = Model::Load(dir / "packed");
      const kernels::LutMatrix& matrix = *packed->packed("fc1.weight");
      EXPECT_EQ(matrix.format.offset_type, kernels::OffsetType::kFloat32);
      const std::vector<float> expected = Quantized(layers.w1, kK1, scheme);
      const std::vector<float> found = Dequantized(matrix);
      double noise = 0;
      double off = 0;
      for (size_t i = 0; i < found.size(); ++i) {
        noise += std::pow(expected[i] - layers.w1[i], 2.0);
        off += std::pow(found[i] - expected[i], 2.0);
      }
      // A weight between two levels may take either.
      EXPECT_LT(off, 0.01 * noise);
    }
  }
  // Smaller errors where weights are not centred, the smallest for the best
  // ranges.
  const auto sqnr = [&](const char* quantizer, qat::ScaleType type) {
    PackOptions options;
    options.rules = qat::SchemeRules(qat::QuantScheme{quantizer, 3, 16, type});
    return PackModel(*model, dir / "packed", options).weights[0].sqnr_db;
  };
  EXPECT_GT(sqnr("intx-asymmetric-no-zero", qat::ScaleType::kFloat),
            sqnr("mse", qat::ScaleType::kFloat) + 3);
  EXPECT_GT(sqnr("mse-asymmetric", qat::ScaleType::kFloat16),
            sqnr("intx-asymmetric-no-zero", qat::ScaleType::kFloat16) + 0.2);
  // There is no 16-bit and 8-bit form of both numbers; the first is taken.
  EXPECT_EQ(sqnr("mse-asymmetric", qat::ScaleType::kTwoLevels),
            sqnr("mse-asymmetric", qat::ScaleType::kFloat16));
}

// A byte for a scale.
TEST(PostTrainingTest, ScalesThatArePowersOfTwo) {
  const TempDir dir;
  TwoLayers layers;
  std::fill_n(layers.w1.begin(), 32, 0.0f);
  const auto model = layers.Load(dir / "float");
  for (const char* const quantizer :
       {"fp4", "mse", "absmax", "mse-asymmetric"}) {
    SCOPED_TRACE(quantizer);
    PackOptions options;
    options.rules = qat::SchemeRules(
        qat::QuantScheme{quantizer, 4, 16, qat::ScaleType::kPowerOfTwo});
    const PackReport report = PackModel(*model, dir / "packed", options);
    EXPECT_GT(report.weights[0].sqnr_db, 15);
    const auto packed = Model::Load(dir / "packed");
    const kernels::LutMatrix& matrix = *packed->packed("fc1.weight");
    EXPECT_EQ(matrix.format.scale_type, kernels::ScaleType::kE8M0);
    EXPECT_LT(std::abs(Dequantized(matrix)[5]), 1e-30f);
    options.rules = qat::SchemeRules(
        qat::QuantScheme{quantizer, 4, 16, qat::ScaleType::kFloat});
    EXPECT_GT(PackModel(*model, dir / "exact", options).weights[0].sqnr_db,
              report.weights[0].sqnr_db);
  }
  PackOptions options;
  options.rules = qat::SchemeRules(
      qat::QuantScheme{"kmeans", 2, 16, qat::ScaleType::kPowerOfTwo});
  EXPECT_THAT(ErrorMessage([&] { PackModel(*model, dir / "packed", options); }),
              ::testing::HasSubstr("finer scales"));
}

TEST(PostTrainingTest, TableUtilisationCountsEntriesInUse) {
  const TempDir dir;
  TwoLayers layers;
  // One group per row with values at two of the four levels only.
  for (size_t i = 0; i < layers.w1.size(); ++i) {
    layers.w1[i] = i % 3 == 0 ? 1.0f : -1.0f;
  }
  const auto model = layers.Load(dir / "float.safetensors");
  const PackReport report = PackModel(*model, dir / "packed.safetensors", {});
  EXPECT_EQ(report.weights[0].table_utilisation, 0.5);
  EXPECT_EQ(report.weights[1].table_utilisation, 1.0);
}

TEST(PostTrainingTest, TotalsAddUp) {
  const TempDir dir;
  const TwoLayers layers;
  const auto model = layers.Load(dir / "float.safetensors");
  PackOptions options;
  options.rules.AddExclusion("fc2");
  const PackReport report =
      PackModel(*model, dir / "packed.safetensors", options);
  EXPECT_EQ(report.weight_count, kN1 * kK1 + kN2 * kK2);
  EXPECT_EQ(report.source_weight_bytes, 4 * report.weight_count);
  EXPECT_EQ(report.weight_bytes, report.weights[0].bytes + 4 * kN2 * kK2);
  EXPECT_EQ(report.file_bytes,
            std::filesystem::file_size(dir / "packed.safetensors"));
  EXPECT_EQ(report.BitsPerWeight(),
            8.0 * static_cast<double>(report.weight_bytes) /
                static_cast<double>(report.weight_count));
}

// Whatever the least scale of a quantizer: products with subnormal numbers take
// several times as long.
TEST(PostTrainingTest, RowsOfZerosAndOfTinyNumbersHaveNoScale) {
  const TempDir dir;
  TwoLayers layers;
  std::fill_n(layers.w1.begin(), kK1, 0.0f);
  std::fill_n(layers.w1.begin() + kK1, kK1, 1e-39f);
  const auto model = layers.Load(dir / "float.safetensors");
  for (const qat::QuantScheme& scheme :
       {qat::QuantScheme{"stretched", 1, 16},
        {"stretched", 2, 16},
        {"stretched", 4, 0},
        {"uniform", 1, 0},
        {"uniform", 3, 16},
        {"max-uniform", 2, 16},
        {"absmax", 3, 16},
        {"absmax", 4, 0},
        {"absmax", 8, 16},
        {"ternary", 0, 16},
        {"mse", 3, 16},
        {"mse-stretched", 2, 16},
        {"intx", 4, 16},
        {"intx-no-clipping", 8, 0},
        {"kmeans", 3, 16},
        {"kmeans-row", 2, 16},
        {"lsbq", 2, 0},
        {"asymmetric-uniform", 2, 0},
        {"absmax", 4, 16, qat::ScaleType::kBFloat16},
        {"kmeans", 2, 16, qat::ScaleType::kFloat16}}) {
    SCOPED_TRACE(qat::ToString(scheme));
    PackOptions options;
    options.rules = qat::SchemeRules(scheme);
    PackModel(*model, dir / "packed.safetensors", options);
    const auto packed = Model::Load(dir / "packed.safetensors");
    const kernels::LutMatrix& w = *packed->packed("fc1.weight");
    const size_t groups = w.format.GroupsPerRow();
    std::vector<float> scales(kN1 * groups);
    kernels::UnpackLutMatrix(w, nullptr, scales.data(), nullptr, nullptr);
    for (size_t i = 0; i < scales.size(); ++i) {
      EXPECT_EQ(scales[i] == 0.0f, i < 2 * groups) << i;
    }
  }
}

TEST(PostTrainingTest, GroupLargerThanARowIsOneShortGroup) {
  const TempDir dir;
  const TwoLayers layers;
  const auto model = layers.Load(dir / "float.safetensors");
  PackOptions options;
  options.rules = qat::SchemeRules({"stretched", 2, 64});
  PackModel(*model, dir / "packed.safetensors", options);
  const auto packed = Model::Load(dir / "packed.safetensors");
  EXPECT_EQ(Dequantized(*packed->packed("fc1.weight")),
            Quantized(layers.w1, kK1, {"stretched", 2, 0}));
}

}  // namespace
}  // namespace lutra::packer
