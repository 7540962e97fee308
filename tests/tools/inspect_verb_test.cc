#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/runtime/raw_file.h"
#include "tests/temp_dir.h"
#include "tests/test_data.h"
#include "tests/tools/command.h"
#include "tests/tools/workshop.h"

namespace lutra::tools {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(InspectVerbTest, FloatModel) {
  const Workshop shop;
  const std::string path = shop / "float.safetensors";
  const std::string text = OutputOf({"inspect", path});
  EXPECT_THAT(text,
              AllOf(HasSubstr("inputs:  x float32[16]"),
                    HasSubstr("outputs: y float32[3]"), HasSubstr("relu"),
                    HasSubstr("fc1.bias"), HasSubstr("32.00 bits per weight")));
  const json model = json::parse(OutputOf({"inspect", path, "--json"}));
  EXPECT_EQ(model["file_bytes"], std::filesystem::file_size(path));
  EXPECT_EQ(model["runnable"], true);
  EXPECT_EQ(model["nodes"].size(), 3u);
  EXPECT_EQ(model["nodes"][0]["op"], "linear");
  EXPECT_EQ(model["inputs"][0]["shape"], json({16}));
  EXPECT_EQ(model["weights"], 24 * 16 + 3 * 24);
  EXPECT_EQ(model["weight_bytes"], 4 * (24 * 16 + 3 * 24));
  EXPECT_EQ(model["bits_per_weight"], 32.0);
}

TEST(InspectVerbTest, TrainedModelTellsItsSchemes) {
  const Workshop shop;
  EXPECT_THAT(OutputOf({"inspect", shop / "trained.safetensors"}),
              HasSubstr("trained: 2-bit stretched, one scale per row"));
}

TEST(InspectVerbTest, PackedModel) {
  const Workshop shop;
  const std::string path = shop / "packed.safetensors";
  OutputOf({"pack", shop / "float.safetensors", "-o", path, "--group-size",
            "16", "--exclude", "fc2"});
  EXPECT_THAT(OutputOf({"inspect", path}),
              AllOf(HasSubstr("2-bit LUT"), HasSubstr("[24, 16]"),
                    HasSubstr("groups of 16")));
  const json model = json::parse(OutputOf({"inspect", path, "--json"}));
  size_t packed = 0;
  for (const json& tensor : model["tensors"]) {
    if (tensor["name"] != "fc1.weight") {
      EXPECT_EQ(tensor["packed"], false);
      continue;
    }
    ++packed;
    EXPECT_EQ(tensor["packed"], true);
    EXPECT_EQ(tensor["shape"], json({24, 16}));
    EXPECT_EQ(tensor["bits"], 2);
    EXPECT_EQ(tensor["group_size"], 16);
    EXPECT_EQ(tensor["table"], json({-3, -1, 1, 3}));
    EXPECT_EQ(tensor["format_version"], 1);
    EXPECT_EQ(tensor["scales"], "float32");
    EXPECT_EQ(tensor["scheme"]["quantizer"], "stretched");
    EXPECT_EQ(tensor["bits_per_element"],
              8.0 * tensor["bytes"].get<double>() / (24 * 16));
  }
  EXPECT_EQ(packed, 1u);
}

TEST(InspectVerbTest, SharedTensorIsUsedTwice) {
  const Workshop shop;
  const json model =
      json::parse(OutputOf({"inspect", shop / "ids.safetensors", "--json"}));
  EXPECT_EQ(model["tensors"][0]["uses"], 2);
  EXPECT_EQ(model["weights"], 32 * 16);
  EXPECT_EQ(model["inputs"][0]["type"], "int32");
}

// Files from elsewhere are listed, and what they lack is said.
TEST(InspectVerbTest, PlainSafetensors) {
  const Workshop shop;
  const std::string path = shop / "plain.safetensors";
  ModelBuilder builder;
  builder.NoMetadata(kGraphKey)
      .NoMetadata(kVersionKey)
      .Floats("a.b", {2, 3}, RandomFloats(6, 1))
      .Write(path);
  EXPECT_THAT(OutputOf({"inspect", path}),
              AllOf(HasSubstr("a.b"), HasSubstr("[2, 3]"),
                    HasSubstr("has no graph (metadata 'lutra.graph')")));
  const json model = json::parse(OutputOf({"inspect", path, "--json"}));
  EXPECT_EQ(model["runnable"], false);
  EXPECT_EQ(model["tensors"][0]["bytes"], 24);
}

// A chain of two layers, the first of which comes four times.
TEST(InspectVerbTest, Picture) {
  const TempDir dir;
  const std::string model = (dir / "m").string();
  const std::string svg = (dir / "m.svg").string();
  ModelBuilder builder;
  builder.Input("x", {8});
  std::string value = "x";
  for (int i = 0; i < 4; ++i) {
    const std::string number = std::to_string(i);
    builder.Add(OpType::kLinear, {value}, "h" + number, "w" + number)
        .Add(OpType::kRelu, {"h" + number}, "r" + number)
        .Add(OpType::kAdd, {"r" + number, value}, "s" + number)
        .Floats("w" + number, {8, 8}, RandomFloats(64, 1));
    value = "s" + number;
  }
  builder.Add(OpType::kLinear, {value}, "y", "last")
      .Floats("last", {3, 8}, RandomFloats(24, 2))
      .Output("y")
      .Write(model);
  EXPECT_THAT(OutputOf({"inspect", model, "--graph", svg}),
              HasSubstr("m.svg: 13 nodes"));
  const std::string picture = ReadBytes(svg);
  for (const char* part :
       {"m: 13 nodes, 280 weights", "\u00d7 4", ">h0<", ">s0<", ">y<",
        "[8, 8] F32", "input x", "output y"}) {
    EXPECT_THAT(picture, HasSubstr(part));
  }
  EXPECT_THAT(picture, ::testing::Not(HasSubstr(">h1<")));

  EXPECT_THAT(RunLutra({"inspect", model, "--graph", "m.png"}).err,
              HasSubstr("ends with .svg"));
  builder.NoMetadata(kGraphKey).NoMetadata(kVersionKey).Write(model);
  EXPECT_THAT(RunLutra({"inspect", model, "--graph", svg}).err,
              HasSubstr("has no graph to draw"));
}

TEST(InspectVerbTest, HiddenGrids) {
  const auto data = TestData("golden/lattice");
  if (!data) GTEST_SKIP() << "data absent";
  const std::string path = (*data / "bf16.safetensors").string();
  EXPECT_THAT(OutputOf({"inspect", "--lattice", path}),
              AllOf(HasSubstr("3 bits, groups of 64"),
                    HasSubstr("ternary, one scale per row"),
                    HasSubstr("93.75 %"), HasSubstr("lost: columns"),
                    HasSubstr("16 of 18 float tensors lie on a grid, 15 of "
                              "them with every group")));
  const json grids =
      json::parse(OutputOf({"inspect", "--lattice", path, "--json"}));
  std::map<std::string, json> tensors;
  for (const json& tensor : grids["tensors"]) {
    tensors[tensor["name"]] = tensor;
  }
  EXPECT_EQ(tensors["decoy-normal"]["found"], false);
  EXPECT_EQ(tensors["decoy-folded"]["folded"], true);
  EXPECT_EQ(tensors["ternary-tensor"]["group"], "tensor");
  EXPECT_EQ(tensors["int4-row"]["group"], "row");
  const json& part = tensors["decoy-part"];
  EXPECT_EQ(part["bits"], 4);
  EXPECT_EQ(part["group"], 32);
  EXPECT_EQ(part["groups"], 64);
  EXPECT_EQ(part["exact_groups"], 60);
  EXPECT_EQ(part["exact_share"], 0.9375);
  EXPECT_EQ(part["scale_type"], "bfloat16");
  EXPECT_EQ(part["offset"], "none");
  EXPECT_LT(part["log10_chance"], -9);
  EXPECT_EQ(tensors["int4-zero-g32"]["offset"], "zero point");
  EXPECT_EQ(tensors["stretched2-g32"]["table"], json({-3, -1, 1, 3}));
}

}  // namespace
}  // namespace lutra::tools
