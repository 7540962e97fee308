#include "lutra/packer/diff.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "lutra/packer/pack.h"
#include "tests/packer/two_layers.h"
#include "tests/temp_dir.h"

namespace lutra::packer {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Kind = TensorDifference::Kind;

class DiffTest : public ::testing::Test {
 protected:
  FileDifferences Compare(const ModelBuilder& a, const ModelBuilder& b) const {
    a.Write(dir_ / "a.safetensors");
    b.Write(dir_ / "b.safetensors");
    return Diff(SafetensorsFile::Open(dir_ / "a.safetensors"),
                SafetensorsFile::Open(dir_ / "b.safetensors"));
  }

  const TempDir dir_;
  TwoLayers layers_;
};

TEST_F(DiffTest, SameContents) {
  const FileDifferences same = Compare(layers_.Builder(), layers_.Builder());
  EXPECT_FALSE(same.Any());
  EXPECT_EQ(same.same_tensors, 3u);
}

TEST_F(DiffTest, Tensors) {
  TwoLayers other = layers_;
  other.w1[7] += 0.25f;
  ModelBuilder a = layers_.Builder();
  ModelBuilder b = other.Builder();
  const std::vector<float> extra = {1, 2};
  a.Floats("old", {2}, extra).Floats("reshaped", {2}, extra);
  b.Floats("new", {2}, extra).Floats("reshaped", {2, 1}, extra);
  const FileDifferences differences = Compare(a, b);
  ASSERT_EQ(differences.tensors.size(), 4u);
  EXPECT_EQ(differences.same_tensors, 2u);
  for (const TensorDifference& tensor : differences.tensors) {
    if (tensor.name == "old") {
      EXPECT_EQ(tensor.kind, Kind::kRemoved);
      EXPECT_EQ(tensor.before, "F32 [2]");
    } else if (tensor.name == "new") {
      EXPECT_EQ(tensor.kind, Kind::kAdded);
      EXPECT_EQ(tensor.after, "F32 [2]");
    } else if (tensor.name == "reshaped") {
      EXPECT_EQ(tensor.kind, Kind::kChanged);
      EXPECT_FALSE(tensor.sqnr_db.has_value());
    } else {
      EXPECT_EQ(tensor.name, "fc1.weight");
      EXPECT_NEAR(*tensor.max_error, 0.25, 1e-6);
      double signal = 0;
      for (const float w : layers_.w1) signal += double{w} * w;
      EXPECT_NEAR(*tensor.sqnr_db, 10 * std::log10(signal / 0.0625), 1e-4);
    }
  }
}

TEST_F(DiffTest, PackedAgainstFloat) {
  const auto model = layers_.Load(dir_ / "float.safetensors");
  const PackReport report = PackModel(*model, dir_ / "packed.safetensors", {});
  const FileDifferences differences =
      Diff(model->file(), SafetensorsFile::Open(dir_ / "packed.safetensors"));
  ASSERT_EQ(differences.tensors.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    const TensorDifference& tensor = differences.tensors[i];
    EXPECT_EQ(tensor.name, report.weights[i].name);
    EXPECT_DOUBLE_EQ(*tensor.sqnr_db, report.weights[i].sqnr_db);
    EXPECT_DOUBLE_EQ(*tensor.max_error, report.weights[i].max_error);
  }
  EXPECT_EQ(differences.tensors[0].after, "2-bit LUT [20, 48]");
  EXPECT_THAT(differences.metadata,
              ElementsAre("lutra.pack: added", "lutra.schemes: added"));
  EXPECT_THAT(differences.graph, IsEmpty());
}

TEST_F(DiffTest, MetadataAndGraph) {
  ModelBuilder a = layers_.Builder();
  ModelBuilder b = layers_.Builder();
  a.Metadata("author", "one").Metadata("old", "x");
  b.Metadata("author", "two").Add(OpType::kGelu, {"y"}, "z").Output("z");
  const FileDifferences differences = Compare(a, b);
  EXPECT_THAT(differences.metadata,
              ElementsAre("author: changed", "old: removed"));
  EXPECT_THAT(differences.graph,
              ElementsAre("outputs: changed", "node z: added"));
  EXPECT_THAT(differences.tensors, IsEmpty());
}

TEST_F(DiffTest, FilesWithoutGraph) {
  ModelBuilder a;
  ModelBuilder b;
  const std::vector<float> values = {1, 2, 3};
  a.NoMetadata(kGraphKey).Floats("t", {3}, values);
  b.Floats("t", {3}, values).Input("x", {3}).Output("x");
  const FileDifferences differences = Compare(a, b);
  EXPECT_THAT(differences.graph,
              ElementsAre("inputs: added", "outputs: added"));
  EXPECT_EQ(differences.same_tensors, 1u);
}

}  // namespace
}  // namespace lutra::packer
