#include "lutra/runtime/model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/kernels/random_matrix.h"
#include "tests/runtime/model_builder.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

using ::testing::HasSubstr;

class ModelTest : public ::testing::Test {
 protected:
  std::shared_ptr<const Model> Load(const ModelBuilder& builder) {
    builder.Write(path_);
    return Model::Load(path_);
  }

  TempDir dir_;
  const std::filesystem::path path_ = dir_ / "m.safetensors";
};

TEST_F(ModelTest, KnowsShapesAndWeights) {
  std::mt19937 rng(1);
  const auto packed =
      kernels::MakeRandomMatrix({.n = 20, .k = 32, .bits = 2, .group_size = 16},
                                kernels::TableKind::kSmall, rng);
  ModelBuilder builder;
  builder.Input("ids", {}, ValueType::kInt32)
      .Input("x", {20})
      .Add(OpType::kEmbedding, {"ids"}, "e", "embed")
      .Add(OpType::kLinear, {"e"}, "h", "packed")
      .Add(OpType::kAdd, {"h", "x"}, "sum")
      .Add(OpType::kLinear, {"sum"}, "y", "head", "head.bias")
      .Output("y")
      .Output("x")
      .Floats("embed", {7, 32}, RandomFloats(7 * 32, 2))
      .Packed("packed", {packed.blob.get(), packed.blob_bytes})
      .Floats("head", {3, 20}, RandomFloats(60, 3))
      .Floats("head.bias", {3}, RandomFloats(3, 4))
      .Floats("not in the graph", {2, 2, 2}, RandomFloats(8, 5));
  const auto model = Load(builder);
  EXPECT_EQ(model->path(), path_.string());
  ASSERT_EQ(model->inputs().size(), 2u);
  EXPECT_EQ(model->inputs()[0].type, ValueType::kInt32);
  EXPECT_EQ(model->inputs()[0].ElementCount(), 1u);
  EXPECT_EQ(model->inputs()[1].shape, std::vector<int64_t>{20});
  ASSERT_EQ(model->outputs().size(), 2u);
  EXPECT_EQ(model->outputs()[0].name, "y");
  EXPECT_EQ(model->outputs()[0].shape, std::vector<int64_t>{3});
  EXPECT_EQ(model->outputs()[1].name, "x");
  EXPECT_EQ(model->value("e").shape, std::vector<int64_t>{32});
  EXPECT_THAT(ErrorMessage([&] { model->value("nothing"); }),
              HasSubstr("no value 'nothing'"));
  const kernels::LutMatrix* matrix = model->packed("packed");
  ASSERT_NE(matrix, nullptr);
  EXPECT_EQ(matrix->format.n, 20u);
  EXPECT_EQ(matrix->format.group_size, 16u);
  // In place: no copy of the file's bytes.
  const auto* data =
      reinterpret_cast<const uint8_t*>(model->file().Get("packed").data.data());
  EXPECT_EQ(matrix->blob, data);
  EXPECT_EQ(model->packed("head"), nullptr);
  EXPECT_EQ(model->packed("nothing"), nullptr);
}

TEST_F(ModelTest, NodesMayShareAWeight) {
  ModelBuilder builder;
  builder.Input("ids", {}, ValueType::kInt32)
      .Add(OpType::kEmbedding, {"ids"}, "e", "tied")
      .Add(OpType::kLinear, {"e"}, "logits", "tied")
      .Output("logits")
      .Floats("tied", {9, 4}, RandomFloats(36, 1));
  EXPECT_EQ(Load(builder)->outputs()[0].shape, std::vector<int64_t>{9});
}

}  // namespace
}  // namespace lutra
