#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/base/half.h"
#include "lutra/packer/pack.h"
#include "tests/packer/two_layers.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

// What can be packed: which nodes, types, bits and scales.

namespace lutra::packer {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

PackOptions OptionsOf(const qat::QuantScheme& scheme) {
  PackOptions options;
  options.rules = qat::SchemeRules(scheme);
  return options;
}

std::span<const std::byte> BlobOf(const Model& model, std::string_view name) {
  return model.file().Get(name).data;
}

TEST(PackableTest, SixteenBitFloatsPackLikeTheirValues) {
  for (const DType dtype : {DType::kFloat16, DType::kBFloat16}) {
    const TempDir dir;
    TwoLayers layers;
    std::vector<uint16_t> bits;
    for (float& w : layers.w1) {
      if (dtype == DType::kFloat16) {
        bits.push_back(Float16FromFloat(w));
        w = FloatFromFloat16(bits.back());
      } else {
        bits.push_back(BFloat16FromFloat(w));
        w = FloatFromBFloat16(bits.back());
      }
    }
    const auto whole = layers.Load(dir / "float32.safetensors");
    layers.Builder()
        .Tensor("fc1.weight", dtype, {kN1, kK1}, std::as_bytes(std::span(bits)))
        .Write(dir / "float16.safetensors");
    const auto half = Model::Load(dir / "float16.safetensors");
    for (const char* quantizer : {"stretched", "kmeans"}) {
      const PackOptions options = OptionsOf({quantizer, 2, 16});
      PackModel(*whole, dir / "a.safetensors", options);
      const PackReport report =
          PackModel(*half, dir / "b.safetensors", options);
      EXPECT_EQ(report.weights[0].dtype, dtype);
      const auto a = Model::Load(dir / "a.safetensors");
      const auto b = Model::Load(dir / "b.safetensors");
      EXPECT_TRUE(std::ranges::equal(BlobOf(*a, "fc1.weight"),
                                     BlobOf(*b, "fc1.weight")));
    }
  }
}

TEST(PackableTest, ConvolutionsAndRecurrentCells) {
  const TempDir dir;
  ModelBuilder builder;
  builder
      .Metadata(kGraphKey, R"({
    "inputs": [{"name": "x", "type": "float32", "shape": [5, 4, 3]}],
    "nodes": [
      {"op": "conv2d", "inputs": ["x"], "output": "c", "weight": "conv",
       "attributes": {"kernel": [2, 2]}},
      {"op": "depthwise_conv2d", "inputs": ["c"], "output": "d",
       "weight": "depthwise", "attributes": {"kernel": [4, 3]}},
      {"op": "reshape", "inputs": ["d"], "output": "r",
       "attributes": {"shape": [32]}},
      {"op": "linear", "inputs": ["r"], "output": "g", "weight": "gates"},
      {"op": "lstm_cell", "inputs": ["g"], "output": "h", "weight": "cell",
       "attributes": {"gates": "ifgo"}},
      {"op": "linear", "inputs": ["h"], "output": "u", "weight": "more"},
      {"op": "gru_cell", "inputs": ["u"], "output": "y", "weight": "gru",
       "attributes": {"gates": "zrn", "reset": "before"}}],
    "outputs": ["y"]})")
      .Floats("conv", {32, 12}, RandomFloats(32 * 12, 1))
      .Floats("depthwise", {12, 32}, RandomFloats(12 * 32, 2))
      .Floats("gates", {64, 32}, RandomFloats(64 * 32, 3))
      .Floats("cell", {64, 16}, RandomFloats(64 * 16, 4))
      .Floats("more", {48, 16}, RandomFloats(48 * 16, 5))
      .Floats("gru", {48, 16}, RandomFloats(48 * 16, 6))
      .Write(dir / "float.safetensors");
  const auto model = Model::Load(dir / "float.safetensors");
  PackOptions options = OptionsOf({"mse-stretched", 2, 16});
  options.rules.AddRule("op:conv2d=bits:4,group-size:row");
  options.rules.AddRule("op:lstm_cell=bits:8,quantizer:intx");
  const PackReport report =
      PackModel(*model, dir / "packed.safetensors", options);
  std::vector<std::string> names;
  for (const TensorReport& tensor : report.weights) {
    names.push_back(tensor.name);
  }
  EXPECT_THAT(names, ElementsAre("conv", "gates", "cell", "more", "gru"));
  EXPECT_THAT(report.others, ElementsAre("depthwise"));
  EXPECT_THAT(report.unused_rules, ElementsAre());
  const auto packed = Model::Load(dir / "packed.safetensors");
  EXPECT_EQ(packed->packed("conv")->format.bits, 4u);
  EXPECT_EQ(packed->packed("gates")->format.bits, 2u);
  EXPECT_EQ(packed->packed("cell")->format.bits, 8u);
  EXPECT_EQ(packed->packed("gru")->format.bits, 2u);
}

TEST(PackableTest, EightBitsAreTheQuantizersIntegers) {
  for (const qat::QuantScheme& scheme :
       {qat::QuantScheme{"absmax", 8, 16}, {"intx", 8, 0}, {"mse", 8, 32}}) {
    const TempDir dir;
    const TwoLayers layers;
    const auto model = layers.Load(dir / "float.safetensors");
    const PackReport report =
        PackModel(*model, dir / "packed.safetensors", OptionsOf(scheme));
    const auto packed = Model::Load(dir / "packed.safetensors");
    EXPECT_EQ(packed->packed("fc1.weight")->format.bits, 8u);
    EXPECT_EQ(Dequantized(*packed->packed("fc1.weight")),
              Quantized(layers.w1, kK1, scheme))
        << qat::ToString(scheme);
    EXPECT_GT(report.weights[0].sqnr_db, 35);
  }
}

TEST(PackableTest, FiveBitsAreRefused) {
  const TempDir dir;
  const auto model = TwoLayers().Load(dir / "float.safetensors");
  EXPECT_THAT(
      ErrorMessage([&] {
        PackModel(*model, dir / "p.safetensors", OptionsOf({"mse", 5, 16}));
      }),
      AllOf(HasSubstr("'fc1.weight'"), HasSubstr("5-bit mse")));
}

TEST(PackableTest, RoundedScalesTakeTheNearestLevels) {
  for (const qat::ScaleType type :
       {qat::ScaleType::kBFloat16, qat::ScaleType::kFloat16}) {
    for (const char* quantizer : {"stretched", "mse", "kmeans-row"}) {
      const TempDir dir;
      const TwoLayers layers;
      const auto model = layers.Load(dir / "float.safetensors");
      const PackReport exact = PackModel(*model, dir / "exact.safetensors",
                                         OptionsOf({quantizer, 4, 16}));
      const PackReport report = PackModel(*model, dir / "packed.safetensors",
                                          OptionsOf({quantizer, 4, 16, type}));
      // Of two row blocks each has 96 bytes less of scales, and 32 of padding.
      EXPECT_EQ(report.weights[0].bytes + 2 * 64, exact.weights[0].bytes);
      EXPECT_NEAR(report.weights[0].sqnr_db, exact.weights[0].sqnr_db, 0.2);
      const auto packed = Model::Load(dir / "packed.safetensors");
      const qat::SchemeMap schemes = qat::ParseSchemes(
          packed->file().metadata().at(std::string(kSchemesKey)), "packed");
      EXPECT_EQ(schemes.at("fc1.weight").scale_type, type);
      const kernels::LutMatrix& matrix = *packed->packed("fc1.weight");
      std::vector<uint8_t> indices(kN1 * kK1);
      std::vector<float> scales(kN1 * 3);
      std::vector<int8_t> tables(kN1 * 16);
      kernels::UnpackLutMatrix(matrix, indices.data(), scales.data(), nullptr,
                               tables.data());
      const bool by_row =
          matrix.format.table_granularity == kernels::TableGranularity::kRow;
      for (size_t i = 0; i < layers.w1.size(); ++i) {
        const size_t row = i / kK1;
        const double scale = scales[row * 3 + i % kK1 / 16];
        const int8_t* table = &tables[by_row ? row * 16 : 0];
        const auto distance = [&](size_t e) {
          return std::abs(double{layers.w1[i]} -
                          scale * static_cast<double>(table[e]));
        };
        for (size_t e = 0; e < 16; ++e) {
          ASSERT_LE(distance(indices[i]), distance(e) + 1e-6) << i;
        }
      }
    }
  }
}

TEST(PackableTest, ScalesBeyondFloat16AreRefused) {
  const TempDir dir;
  TwoLayers layers;
  layers.w1[3 * kK1] = 1e6f;
  const auto model = layers.Load(dir / "float.safetensors");
  EXPECT_THAT(ErrorMessage([&] {
                PackModel(
                    *model, dir / "p.safetensors",
                    OptionsOf({"absmax", 3, 16, qat::ScaleType::kFloat16}));
              }),
              AllOf(HasSubstr("'fc1.weight'"), HasSubstr("row 3"),
                    HasSubstr("too large for float16")));
}

// A scale may be finite, and its product with a level not.
TEST(PackableTest, LevelsBeyondFloat32AreRefused) {
  const TempDir dir;
  TwoLayers layers;
  layers.w1[5 * kK1] = 3.3e38f;
  const auto model = layers.Load(dir / "float.safetensors");
  EXPECT_THAT(
      ErrorMessage([&] {
        PackModel(*model, dir / "p.safetensors", OptionsOf({"intx", 2, 16}));
      }),
      AllOf(HasSubstr("'fc1.weight'"), HasSubstr("row 5"),
            HasSubstr("a level is not finite")));
  EXPECT_FALSE(std::filesystem::exists(dir / "p.safetensors"));
}

// A trained grid stays what it is, but for the rounding.
TEST(PackableTest, TrainedWeightsMayHaveRoundedScales) {
  const qat::QuantScheme scheme{"stretched", 2, 16};
  const TempDir dir;
  TwoLayers layers = TrainedLayers(scheme);
  const auto model = layers.Load(dir / "trained.safetensors");
  const PackReport report =
      PackModel(*model, dir / "packed.safetensors",
                OptionsOf({"stretched", 2, 0, qat::ScaleType::kBFloat16}));
  EXPECT_EQ(report.weights[0].method, PackMethod::kRounded);
  EXPECT_EQ(report.weights[0].scheme->group_size, 16);
  EXPECT_GT(report.weights[0].sqnr_db, 45);
}

TEST(PackableTest, NoteHoldsTheErrors) {
  const TempDir dir;
  const TwoLayers layers;
  const auto model = layers.Load(dir / "float.safetensors");
  PackOptions options = OptionsOf({"stretched", 2, 16});
  options.rules.AddExclusion("fc2");
  const PackReport report =
      PackModel(*model, dir / "packed.safetensors", options);
  const auto packed = Model::Load(dir / "packed.safetensors");
  const std::string& note = packed->file().metadata().at(std::string(kPackKey));
  const auto records = ReadPackNote(note, "packed");
  ASSERT_EQ(records.size(), 1u);
  const PackRecord& record = records.at("fc1.weight");
  EXPECT_EQ(record.method, "post-training");
  EXPECT_NEAR(record.sqnr_db, report.weights[0].sqnr_db, 1e-3);
  EXPECT_NEAR(record.max_error, report.weights[0].max_error, 1e-4);
  for (const char* bad : {"", "[]", "{}", "{\"tensors\": []}",
                          "{\"tensors\": {\"a\": 1}}", "{\"tensors\""}) {
    EXPECT_THAT(ErrorMessage([&] { ReadPackNote(bad, "file"); }),
                HasSubstr("file"))
        << bad;
  }
  EXPECT_TRUE(
      std::isinf(ReadPackNote(R"({"tensors": {"a": {"sqnr_db": null}}})", "f")
                     .at("a")
                     .sqnr_db));
}

}  // namespace
}  // namespace lutra::packer
