// Weights that a file stores as 8-bit floats.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/base/float8.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/session.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int64_t kN = 3;
constexpr int64_t kK = 10;

// y = W x, with W [3, 10] in groups of 4: the last of a row has 2 columns.
struct Stored {
  DType dtype = DType::kFloat8E4M3;
  std::vector<int64_t> shape = {kN, kK};
  std::vector<uint8_t> codes;
  DType scale_dtype = DType::kFloat32;
  std::vector<int64_t> scale_shape = {kN, 3};
  std::vector<float> scales = {1.0f,  0.5f, 2.0f, 0.1f, 3.0f,
                               0.25f, 7.0f, 0.0f, 1.5f};
  std::string scale_name = "w.scales";

  Stored() {
    for (uint8_t i = 0; i < kN * kK; ++i) {
      codes.push_back(static_cast<uint8_t>(i * 37 % 120 + (i % 2) * 128));
    }
  }

  void Write(const std::filesystem::path& path) const {
    Graph graph;
    graph.inputs.push_back({"x", ValueType::kFloat32, {kK}});
    graph.nodes.push_back({OpType::kLinear, {"x"}, "y", "w", ""});
    graph.outputs.push_back("y");
    SafetensorsWriter writer(
        path,
        {{std::string(kVersionKey), "1"},
         {std::string(kGraphKey), GraphToJson(graph)}},
        {{"w", dtype, shape}, {scale_name, scale_dtype, scale_shape}});
    writer.Write("w", std::as_bytes(std::span(codes)));
    std::vector<uint8_t> bytes;
    for (const float scale : scales) bytes.push_back(E8M0FromFloat(scale));
    if (scale_dtype == DType::kFloat32) {
      writer.Write(scale_name, std::as_bytes(std::span(scales)));
    } else {
      writer.Write(scale_name, std::as_bytes(std::span(bytes)));
    }
    writer.Commit();
  }

  float Value(size_t row, size_t column) const {
    const uint8_t code = codes[row * kK + column];
    const float scale = scales[row * 3 + column / 4];
    const float stored = scale_dtype == DType::kFloat32
                             ? scale
                             : FloatFromE8M0(E8M0FromFloat(scale));
    return stored * (dtype == DType::kFloat8E4M3 ? FloatFromE4M3(code)
                                                 : FloatFromE5M2(code));
  }
};

class Float8WeightsTest : public ::testing::Test {
 protected:
  std::string Failure(const Stored& stored) {
    stored.Write(dir_ / "m.safetensors");
    return ErrorMessage([&] { Model::Load(dir_ / "m.safetensors"); });
  }

  TempDir dir_;
};

TEST_F(Float8WeightsTest, TheyAreFloatsOnceLoaded) {
  for (const DType dtype : {DType::kFloat8E4M3, DType::kFloat8E5M2}) {
    for (const DType scale_dtype : {DType::kFloat32, DType::kFloat8E8M0}) {
      Stored stored;
      stored.dtype = dtype;
      stored.scale_dtype = scale_dtype;
      stored.Write(dir_ / "m.safetensors");
      const auto model = Model::Load(dir_ / "m.safetensors");
      const Span<const float> w = model->file().Get("w").Floats("m");
      ASSERT_EQ(w.size(), stored.codes.size());
      for (size_t i = 0; i < w.size(); ++i) {
        EXPECT_EQ(w[i], stored.Value(i / kK, i % kK)) << i;
      }
      EXPECT_EQ(model->file().Find("w.scales"), nullptr);
      ASSERT_NE(model->stored("w"), nullptr);
      EXPECT_EQ(model->stored("w")->dtype, dtype);
      EXPECT_EQ(model->stored("w")->bytes,
                kN * kK + 9u * ByteSize(scale_dtype));
      EXPECT_EQ(model->stored("x"), nullptr);

      Session session(model, {});
      std::vector<float> x(kK);
      for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 3);
      float y[kN];
      const std::vector<const void*> inputs = {x.data()};
      const std::vector<float*> outputs = {y};
      session.Run(1, inputs, outputs);
      for (size_t row = 0; row < kN; ++row) {
        double sum = 0;
        double size = 0;
        for (size_t i = 0; i < x.size(); ++i) {
          sum += double{x[i]} * stored.Value(row, i);
          size += std::abs(double{x[i]} * stored.Value(row, i));
        }
        EXPECT_NEAR(y[row], sum, 1e-6 * size);
      }
    }
  }
}

TEST_F(Float8WeightsTest, DamageIsRefused) {
  Stored stored;
  EXPECT_EQ((stored.Write(dir_ / "m.safetensors"),
             Model::Load(dir_ / "m.safetensors") != nullptr),
            true);
  stored.scale_name = "w.scale";
  EXPECT_THAT(Failure(stored), HasSubstr("w.scales"));
  stored = Stored();
  stored.codes[7] = 0x7F;
  EXPECT_THAT(Failure(stored), AllOf(HasSubstr("'w'"), HasSubstr("finite")));
  stored = Stored();
  stored.dtype = DType::kFloat8E5M2;
  stored.codes[7] = 0x7C;  // infinity
  EXPECT_THAT(Failure(stored), HasSubstr("finite"));
  stored = Stored();
  stored.scales[2] = INFINITY;
  EXPECT_THAT(Failure(stored), HasSubstr("finite"));
  stored = Stored();
  stored.shape = {kN * kK};
  EXPECT_THAT(Failure(stored), HasSubstr("not a matrix"));
  stored = Stored();
  stored.scale_shape = {9};
  EXPECT_THAT(Failure(stored), HasSubstr("[N, groups]"));
  stored = Stored();
  stored.scale_shape = {9, 1};
  EXPECT_THAT(Failure(stored), HasSubstr("[N, groups]"));
  stored = Stored();
  stored.scale_shape = {kN, 0};
  stored.scales.clear();
  EXPECT_THAT(Failure(stored), HasSubstr("[N, groups]"));
  // 10 columns in groups of 2 are five, of 1 are ten: not seven.
  stored = Stored();
  stored.scale_shape = {kN, 7};
  stored.scales.assign(21, 1.0f);
  EXPECT_THAT(Failure(stored), HasSubstr("7 groups"));
  stored = Stored();
  stored.scale_shape = {kN, 11};
  stored.scales.assign(33, 1.0f);
  EXPECT_THAT(Failure(stored), HasSubstr("[N, groups]"));
}

}  // namespace
}  // namespace lutra
