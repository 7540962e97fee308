// Graphs of ONNX that are made here; those of other programs are replayed by
// golden_replay.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "lutra/packer/import.h"
#include "lutra/runtime/error.h"
#include "packer/import/network/view.h"
#include "tests/packer/onnx_importer.h"
#include "tests/runtime/raw_file.h"
#include "tests/temp_dir.h"

namespace lutra::packer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(OnnxImportTest, MissingOperatorsAreListedWithCounts) {
  OnnxWriter writer({-1, 4});
  writer.Add({"Erf", {"x"}, "a"})
      .Add({"Erf", {"x"}, "b"})
      .Add({"NonZero", {"a"}, "c"})
      .Add({"Pow", {"b", "three"}, "d"})
      .Add({"Add", {"c", "d"}})
      .Floats("three", {}, {3});
  EXPECT_THAT(Refusal(writer),
              HasSubstr("has what lutra's graphs cannot express: "
                        "Erf (2 times); NonZero. "));
}

TEST_F(OnnxImportTest, LinksOutOfTheFolderAreNotFollowed) {
  const TempDir other;
  WriteBytes(other / "w.bin", std::string(64, '\0'));
  std::filesystem::create_symlink(other / "w.bin", dir_ / "link.bin");
  OnnxWriter writer({-1, 4});
  writer.Add({"MatMul", {"x", "w"}}).External("w", {4, 4}, "link.bin");
  EXPECT_THAT(Refusal(writer),
              HasSubstr("tensor 'w': its file of external data is a link out "
                        "of the model's folder"));
}

// The image is [H, W, C] here, the matrix has its rows in the order C, H, W.
TEST_F(OnnxImportTest, FlattenedImageMeetsItsMatrix) {
  std::vector<float> w;
  for (int i = 0; i < 12; ++i) w.push_back(static_cast<float>(1 << i));
  OnnxWriter writer({-1, 3, 2, 2});
  writer.Add({"MaxPool", {"x"}, "p", {{"kernel_shape", {1, 1}}}})
      .Add({"Flatten", {"p"}, "f"})
      .Add({"MatMul", {"f", "w"}})
      .Floats("w", {12, 1}, w);
  for (size_t i = 0; i < 12; ++i) {
    // Element [h, w, c].
    std::vector<float> x(12, 0.0f);
    x[i] = 1;
    const size_t channel = i % 3;
    const size_t pixel = i / 3;
    EXPECT_THAT(Run(writer, x), ElementsAre(w[channel * 4 + pixel]));
  }
  const auto model = Model::Load(dir_ / "m.safetensors");
  for (const Node& node : model->graph().nodes) {
    EXPECT_NE(node.op, OpType::kGather);
    EXPECT_NE(node.op, OpType::kTranspose);
  }
}

TEST_F(OnnxImportTest, BatchNormalizationFoldsIntoTheLayerBefore) {
  OnnxWriter writer({-1, 1, 1, 2});
  writer.Add({"Conv", {"x", "w"}, "c"})
      .Add({"BatchNormalization", {"c", "g", "b", "m", "v"}})
      .Floats("w", {1, 1, 1, 1}, {3})
      .Floats("g", {1}, {2})
      .Floats("b", {1}, {5})
      .Floats("m", {1}, {1})
      .Floats("v", {1}, {4});
  const auto y = Run(writer, {1, 2});
  // (3 x - 1) / 2 * 2 + 5
  EXPECT_NEAR(y[0], 7, 1e-4);
  EXPECT_NEAR(y[1], 10, 1e-4);
  EXPECT_EQ(Model::Load(dir_ / "m.safetensors")->graph().nodes.size(), 1u);
}

// x / 2 * (1 + erf(x / sqrt(2))) in the orders of exporters; the last one is
// that of no gelu.
TEST_F(OnnxImportTest, GeluThatIsWrittenOut) {
  const auto graph_of = [](const std::vector<OnnxWriter::Node>& products) {
    OnnxWriter writer({-1, 3});
    writer.Add({"Div", {"x", "root"}, "a"})
        .Add({"Erf", {"a"}, "e"})
        .Add({"Add", {"one", "e"}, "s"});
    for (const OnnxWriter::Node& node : products) writer.Add(node);
    writer.Floats("root", {}, {1.41421356f})
        .Floats("one", {1}, {1})
        .Floats("half", {}, {0.5f})
        .Floats("two", {}, {2});
    return writer;
  };
  const std::vector<std::vector<OnnxWriter::Node>> orders = {
      {{"Mul", {"x", "s"}, "p"}, {"Mul", {"p", "half"}}},
      {{"Mul", {"s", "half"}, "p"}, {"Mul", {"x", "p"}}},
      {{"Mul", {"half", "x"}, "h"}, {"Mul", {"s", "h"}}},
      {{"Div", {"s", "two"}, "p"}, {"Mul", {"p", "x"}}}};
  for (const auto& order : orders) {
    const std::vector<float> y = Run(graph_of(order), {-1, 0.5f, 3});
    EXPECT_NEAR(y[0], -0.158655254, 1e-6);
    EXPECT_NEAR(y[1], 0.345731231, 1e-6);
    EXPECT_NEAR(y[2], 2.99595031, 1e-6);
  }
  {
    const auto model = Model::Load(dir_ / "m.safetensors");
    ASSERT_EQ(model->graph().nodes.size(), 1u);
    EXPECT_EQ(model->graph().nodes[0].op, OpType::kGelu);
  }
  std::filesystem::remove(dir_ / "m.safetensors");
  for (const auto& other : std::vector<std::vector<OnnxWriter::Node>>{
           {{"Mul", {"x", "s"}}},
           {{"Mul", {"x", "s"}, "p"}, {"Mul", {"p", "two"}}},
           {{"Mul", {"a", "s"}, "p"}, {"Mul", {"p", "half"}}}}) {
    EXPECT_THAT(Refusal(graph_of(other)), HasSubstr("Erf"));
  }
}

TEST_F(OnnxImportTest, AFixedFirstDimensionMayBeNoBatch) {
  OnnxWriter writer({2, 3});
  writer.Add({"Transpose", {"x"}, "t"})
      .Add({"MatMul", {"t", "w"}})
      .Floats("w", {2, 1}, {1, 10});
  const ImportReport report = Import(writer);
  ASSERT_EQ(report.arrays.size(), 2u);
  EXPECT_THAT(report.arrays[0].rows, ElementsAre(-1, -1));
  EXPECT_THAT(Run(writer, {1, 2, 3, 4, 5, 6}), ElementsAre(41, 52, 63));
}

TEST(ViewTest, ReshapingCutsAndJoinsAxes) {
  const std::vector<int64_t> shape = {4, 6};
  const std::vector<size_t> swapped = {1, 0};
  const View view = Transposed(NaturalView(shape), swapped);  // [6, 4]
  const std::vector<int64_t> cut = {3, 2, 4};
  const auto reshaped = Reshaped(view, cut);
  ASSERT_TRUE(reshaped);
  std::vector<Axis> axes;
  for (const auto& dim : reshaped->dims) {
    axes.insert(axes.end(), dim.begin(), dim.end());
  }
  const auto places = Places(axes, 0, 24);
  for (uint32_t i = 0; i < 24; ++i) {
    EXPECT_EQ(places[i], i % 4 * 6 + i / 4);
  }
  // 8 rows of 3 of the transposed matrix lie nowhere in one piece.
  const std::vector<int64_t> across = {8, 3};
  EXPECT_FALSE(Reshaped(view, across));
  const std::vector<int64_t> other = {5, 5};
  EXPECT_THROW(Reshaped(view, other), Error);
}

TEST(ViewTest, RowAxesStayWhole) {
  View view;
  view.dims = {{{0, 0, 0}}, {{3, 4}}, {{4, 1}}};  // [batch, 3, 4]
  const std::vector<int64_t> flat = {UnknownSize(0), -1};
  const auto reshaped = Reshaped(view, flat);
  ASSERT_TRUE(reshaped);
  EXPECT_EQ(DimSize(reshaped->dims[0]), UnknownSize(0));
  EXPECT_EQ(DimSize(reshaped->dims[1]), 12);
  const std::vector<int64_t> mixed = {6, -1};
  EXPECT_FALSE(Reshaped(view, mixed));
}

}  // namespace
}  // namespace lutra::packer
