#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/runtime/raw_file.h"
#include "tests/temp_dir.h"
#include "tests/tools/command.h"
#include "tests/tools/workshop.h"

namespace lutra::tools {
namespace {

using kernels::ActivationType;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

size_t CountEqual(const std::vector<size_t>& a, const std::vector<size_t>& b) {
  size_t equal = 0;
  for (size_t i = 0; i < a.size(); ++i)
    equal += a[i] == b[i] ? size_t{1} : size_t{0};
  return equal;
}

TEST(EvalVerbTest, CountsAreThoseOfTheLibrary) {
  const Workshop shop;
  const std::string model = shop / "trained.safetensors";
  const std::string packed = shop / "packed.safetensors";
  const std::string coarse = shop / "coarse.safetensors";
  OutputOf({"pack", model, "-o", packed});
  OutputOf({"pack", shop / "float.safetensors", "-o", coarse, "--bits", "1"});
  const json report = json::parse(
      OutputOf({"eval", "--data", shop.data(), "--json", model, packed,
                packed + ":float32", coarse + ":int8-symmetric",
                shop / "float.safetensors"}));

  const std::vector<size_t> labels(shop.labels.begin(), shop.labels.end());
  const std::vector<std::vector<size_t>> classes = {
      Workshop::Classes(shop.Scores(model, ActivationType::kFloat32)),
      Workshop::Classes(shop.Scores(packed, ActivationType::kInt8Asymmetric)),
      Workshop::Classes(shop.Scores(packed, ActivationType::kFloat32)),
      Workshop::Classes(shop.Scores(coarse, ActivationType::kInt8Symmetric)),
      Workshop::Classes(
          shop.Scores(shop / "float.safetensors", ActivationType::kFloat32))};
  const std::vector<std::string> activations = {"float32", "int8", "float32",
                                                "int8-symmetric", "float32"};
  ASSERT_EQ(report["models"].size(), classes.size());
  for (size_t i = 0; i < classes.size(); ++i) {
    SCOPED_TRACE(i);
    const json& row = report["models"][i];
    EXPECT_EQ(row["activations"], activations[i]);
    EXPECT_EQ(row["total"], Workshop::kImages);
    EXPECT_EQ(row["correct"], CountEqual(classes[i], labels));
    EXPECT_EQ(row["differs"],
              Workshop::kImages - CountEqual(classes[i], classes[0]));
  }
  // The same weights in float and packed: the same class for every image. Other
  // weights give others, or the column would prove nothing.
  EXPECT_EQ(report["models"][2]["differs"], 0);
  EXPECT_GT(report["models"][4]["differs"], 0);
  EXPECT_EQ(report["models"][0]["bits_per_weight"], 32.0);
  EXPECT_EQ(report["models"][0]["weight_bytes"], 4 * (24 * 16 + 3 * 24));
}

TEST(EvalVerbTest, ReferenceIsChosenByLabel) {
  const Workshop shop;
  const std::string coarse = shop / "coarse.safetensors";
  OutputOf({"pack", shop / "float.safetensors", "-o", coarse, "--bits", "1"});
  const json report = json::parse(OutputOf(
      {"eval", "--data", shop.data(), "--json", "--label", "fine", "--label",
       "coarse", "--reference", "coarse", shop / "float.safetensors", coarse}));
  EXPECT_EQ(report["reference"], "coarse");
  EXPECT_GT(report["models"][0]["differs"], 0);
  EXPECT_EQ(report["models"][1]["differs"], 0);
}

TEST(EvalVerbTest, TableWithTimesAndLabels) {
  const Workshop shop;
  const std::string packed = shop / "packed.safetensors";
  OutputOf({"pack", shop / "float.safetensors", "-o", packed});
  const std::vector<std::string> arguments = {
      "eval",    "--data",    shop.data(), "--time",           "--repeat",
      "3",       "--threads", "1",         "--batch",          "1,4",
      "--label", "the first", packed,      packed + ":float32"};
  const std::string text = OutputOf(arguments);
  EXPECT_THAT(text, AllOf(HasSubstr("the first"), HasSubstr("int8"),
                          HasSubstr(packed + ":float32"), HasSubstr("differs"),
                          HasSubstr("us/image, batch 1"),
                          HasSubstr("us/image, batch 4"), HasSubstr(" of 30")));
  std::vector<std::string> markdown = arguments;
  markdown.insert(markdown.end(), {"--format", "markdown"});
  EXPECT_THAT(OutputOf(markdown), HasSubstr("| the first"));

  std::vector<std::string> as_json = arguments;
  as_json.push_back("--json");
  const json report = json::parse(OutputOf(as_json));
  const json& timings = report["models"][0]["timings"];
  ASSERT_EQ(timings.size(), 2u);
  EXPECT_EQ(timings[1]["batch"], 4);
  EXPECT_EQ(timings[1]["calls"], 3);
  EXPECT_DOUBLE_EQ(timings[1]["us_per_image"].get<double>() * 4,
                   timings[1]["median_us"].get<double>());
}

TEST(EvalVerbTest, OneModelHasNothingToDifferFrom) {
  const Workshop shop;
  EXPECT_THAT(
      OutputOf({"eval", "--data", shop.data(), shop / "float.safetensors"}),
      AllOf(HasSubstr("accuracy"), Not(HasSubstr("differs"))));
}

TEST(EvalVerbTest, LimitTakesTheFirstImages) {
  const Workshop shop;
  const json report =
      json::parse(OutputOf({"eval", "--data", shop.data(), "--json", "--limit",
                            "7", shop / "float.safetensors"}));
  EXPECT_EQ(report["models"][0]["total"], 7);
  const std::vector<size_t> classes = Workshop::Classes(
      shop.Scores(shop / "float.safetensors", ActivationType::kFloat32));
  size_t correct = 0;
  for (size_t i = 0; i < 7; ++i) correct += classes[i] == shop.labels[i];
  EXPECT_EQ(report["models"][0]["correct"], correct);
}

std::string MessageOf(const std::vector<std::string>& arguments) {
  return RunLutra(arguments).err;
}

// A model that gives zeros scores a recording by its mean square: 1 and 4 are
// normal, 4 and 9 are not, so of four pairs three and a half are in order.
TEST(EvalVerbTest, Anomalies) {
  const TempDir dir;
  ModelBuilder()
      .Input("x", {2})
      .Add(OpType::kLinear, {"x"}, "y", "w")
      .Output("y")
      .Floats("w", {2, 2}, std::vector<float>(4))
      .Write(dir / "zeros");
  const auto write = [&](const char* name, const std::vector<float>& values) {
    WriteBytes(dir / name,
               std::string(reinterpret_cast<const char*>(values.data()),
                           values.size() * sizeof(float)));
  };
  write("n1", {1, 1, 1});
  write("n4", {2, 2, 2, 2});
  write("a4", {2, -2});
  write("a9", {0, 0, 6, 0, 0});
  WriteBytes(dir / "y_labels.csv",
             "n1,2,0,8,4\nn4,2,0,8,8\na4,2,1,8,4\na9,2,1,8,4\n");
  const std::string data = dir.path().string();
  const std::string model = (dir / "zeros").string();
  const json report =
      json::parse(OutputOf({"eval", "--data", data, "--json", model}));
  EXPECT_EQ(report["windows"], 9);
  const json& row = report["models"][0];
  EXPECT_EQ(row["scores"], json({1.0, 4.0, 4.0, 9.0}));
  EXPECT_EQ(row["auc"], 0.875);
  EXPECT_EQ(row["normal"], 2.5);
  EXPECT_EQ(row["anomalous"], 6.5);
  EXPECT_THAT(OutputOf({"eval", "--data", data, model}),
              AllOf(HasSubstr("AUC"), HasSubstr("0.8750")));
  const json normal = json::parse(
      OutputOf({"eval", "--data", data, "--limit", "2", "--json", model}));
  EXPECT_TRUE(normal["models"][0]["auc"].is_null());
  EXPECT_EQ(normal["models"][0]["normal"], 2.5);

  EXPECT_THAT(MessageOf({"eval", "--data", data, "--time", model}),
              HasSubstr("--time: is not for recordings"));
  EXPECT_THAT(MessageOf({"train", model, "--data", data, "-o", "none"}),
              HasSubstr("recordings to give out again"));
  const Workshop shop;
  EXPECT_THAT(MessageOf({"eval", "--data", data, shop / "float.safetensors"}),
              HasSubstr("does not reconstruct windows"));
  // Windows are samples to calibrate with.
  EXPECT_THAT(OutputOf({"calibrate", model, "--data", data, "-o",
                        (dir / "s").string()}),
              HasSubstr("over 9 images"));
}

}  // namespace
}  // namespace lutra::tools
