// Batch normalization in the graph of an import.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lutra/packer/import.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/session.h"
#include "tests/runtime/model_builder.h"
#include "tests/runtime/raw_file.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra::packer {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using Floats = std::vector<float>;

constexpr double kEps = 0.01;

Floats Positive(size_t count, uint32_t seed) {
  Floats values = RandomFloats(count, seed);
  for (float& value : values) value = std::fabs(value) + 0.1f;
  return values;
}

// A batch normalization of four channels.
struct Norm {
  explicit Norm(uint32_t seed)
      : gamma(RandomFloats(4, seed)),
        beta(RandomFloats(4, seed + 1)),
        mean(RandomFloats(4, seed + 2)),
        variance(Positive(4, seed + 3)) {}

  Floats Factor() const {
    Floats factor;
    for (size_t c = 0; c < 4; ++c) {
      factor.push_back(
          static_cast<float>(gamma[c] / std::sqrt(variance[c] + kEps)));
    }
    return factor;
  }
  Floats Offset() const {
    Floats offset;
    for (size_t c = 0; c < 4; ++c) {
      offset.push_back(beta[c] - mean[c] * Factor()[c]);
    }
    return offset;
  }

  Floats gamma, beta, mean, variance;
};

class BatchNormTest : public ::testing::Test {
 protected:
  BatchNormTest() {
    std::filesystem::create_directories(source_);
    ModelBuilder tensors;
    AddTensors(tensors);
    tensors.Write(source_ / "weights.safetensors");
  }

  void AddTensors(ModelBuilder& builder) const {
    builder.Floats("conv", {4, 18}, RandomFloats(72, 1))
        .Floats("conv.bias", {4}, RandomFloats(4, 2))
        .Floats("depth", {9, 4}, RandomFloats(36, 3))
        .Floats("dense", {4, 64}, RandomFloats(256, 4));
    for (size_t i = 0; i < 3; ++i) {
      const std::string name = std::string("n") + std::to_string(i);
      builder.Floats(name + ".gamma", {4}, norms_[i].gamma)
          .Floats(name + ".beta", {4}, norms_[i].beta)
          .Floats(name + ".mean", {4}, norms_[i].mean)
          .Floats(name + ".variance", {4}, norms_[i].variance);
    }
  }

  static json NormNode(int i, const std::string& input,
                       const std::string& output) {
    const std::string name = std::string("n") + std::to_string(i);
    return {{"op", "batch_norm"},
            {"inputs", {input}},
            {"output", output},
            {"weight", name + ".gamma"},
            {"bias", name + ".beta"},
            {"attributes",
             {{"mean", name + ".mean"},
              {"variance", name + ".variance"},
              {"eps", kEps}}}};
  }

  json GraphJson() const {
    json graph = json::parse(R"({
        "inputs": [{"name": "x", "type": "float32", "shape": [4, 4, 2]}],
        "outputs": ["y"], "nodes": [
        {"op": "conv2d", "inputs": ["x"], "output": "c", "weight": "conv",
         "bias": "conv.bias",
         "attributes": {"kernel": [3, 3], "padding": [1, 1, 1, 1]}},
        {"op": "relu", "inputs": ["cn"], "output": "r"},
        {"op": "depthwise_conv2d", "inputs": ["r"], "output": "d",
         "weight": "depth",
         "attributes": {"kernel": [3, 3], "padding": [1, 1, 1, 1]}},
        {"op": "reshape", "inputs": ["dn"], "output": "f",
         "attributes": {"shape": [64]}},
        {"op": "linear", "inputs": ["f"], "output": "l", "weight": "dense"}]})");
    json& nodes = graph["nodes"];
    nodes.insert(nodes.begin(), NormNode(0, "c", "cn"));
    nodes.push_back(NormNode(1, "d", "dn"));
    nodes.push_back(NormNode(2, "l", "y"));
    return graph;
  }

  void Import(const json& graph) const {
    WriteBytes(source_ / "graph.json", graph.dump());
    ImportModel({.source = source_, .output = dir_ / "model.safetensors"});
  }

  // Scores of an image.
  static Floats Run(const std::filesystem::path& model) {
    Session session(Model::Load(model), {.threads = 1});
    const Floats x = RandomFloats(32, 9);
    Floats y(4);
    const void* const inputs[] = {x.data()};
    float* const outputs[] = {y.data()};
    session.Run(1, inputs, outputs);
    return y;
  }

  const Norm norms_[3] = {Norm(10), Norm(20), Norm(30)};
  const TempDir dir_;
  const std::filesystem::path source_ = dir_ / "source";
};

// Without folding a batch normalization is a convolution of single pixels and
// channels.
TEST_F(BatchNormTest, IsFoldedIntoTheLayerBefore) {
  Import(GraphJson());
  const auto model = Model::Load(dir_ / "model.safetensors");
  EXPECT_EQ(model->graph().nodes.size(), 5u);

  ModelBuilder reference;
  AddTensors(reference);
  const auto list = [](std::vector<int64_t> values) { return values; };
  const auto norm = [&](int i, const std::string& input,
                        const std::string& output) {
    const std::string name = std::string("n") + std::to_string(i);
    const Norm& numbers = norms_[i];
    reference
        .Add(OpType::kDepthwiseConv2d, {input}, output, name + ".factor",
             name + ".offset")
        .Set("kernel", list({1, 1}))
        .Floats(name + ".factor", {1, 4}, numbers.Factor())
        .Floats(name + ".offset", {4}, numbers.Offset());
  };
  reference.Input("x", {4, 4, 2})
      .Add(OpType::kConv2d, {"x"}, "c", "conv", "conv.bias")
      .Set("kernel", list({3, 3}))
      .Set("padding", list({1, 1, 1, 1}));
  norm(0, "c", "cn");
  reference.Add(OpType::kRelu, {"cn"}, "r")
      .Add(OpType::kDepthwiseConv2d, {"r"}, "d", "depth")
      .Set("kernel", list({3, 3}))
      .Set("padding", list({1, 1, 1, 1}));
  norm(1, "d", "dn");
  reference.Add(OpType::kReshape, {"dn"}, "f")
      .Set("shape", list({64}))
      .Add(OpType::kLinear, {"f"}, "l", "dense")
      .Add(OpType::kReshape, {"l"}, "image")
      .Set("shape", list({1, 1, 4}));
  norm(2, "image", "scaled");
  reference.Add(OpType::kReshape, {"scaled"}, "y")
      .Set("shape", list({4}))
      .Output("y")
      .Write(dir_ / "reference.safetensors");

  const Floats expected = Run(dir_ / "reference.safetensors");
  const Floats found = Run(dir_ / "model.safetensors");
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(found[i], expected[i], 1e-4 * (1 + std::fabs(expected[i])));
  }
}

TEST_F(BatchNormTest, GammaAndBetaMayBeLeftOut) {
  json graph = GraphJson();
  const Floats with = [&] {
    Import(graph);
    return Run(dir_ / "model.safetensors");
  }();
  json& last = graph["nodes"].back();
  last.erase("weight");
  last.erase("bias");
  Import(graph);
  const Floats without = Run(dir_ / "model.safetensors");
  const Norm& norm = norms_[2];
  for (size_t i = 0; i < with.size(); ++i) {
    EXPECT_NEAR(with[i], without[i] * norm.gamma[i] + norm.beta[i],
                1e-4 * (1 + std::fabs(with[i])));
  }
}

TEST_F(BatchNormTest, MistakesAreNamed) {
  struct Case {
    std::string patch;  // of the last node (RFC 7386)
    std::string cause;
  };
  const Case cases[] = {
      {R"({"inputs": ["r"]})", "'r' is used by others"},
      {R"({"inputs": ["none"]})", "no node makes its input 'none'"},
      {R"({"inputs": ["l", "r"]})", "inputs"},
      {R"({"inputs": 7})", "inputs"},
      {R"({"output": null})", "output"},
      {R"({"window": 7})", "window"},
      {R"({"attributes": {"eps": null}})", "eps"},
      {R"({"attributes": {"eps": -1}})", "eps"},
      {R"({"attributes": {"mean": 7}})", "mean"},
      {R"({"attributes": {"mean": "none"}})", "'none'"},
      {R"({"attributes": {"mean": "conv"}})", "[4, 18]"},
      {R"({"attributes": {"variance": "negative"}})", "negative variance"},
      {R"({"weight": "infinite"})", "not finite"}};
  ModelBuilder tensors;
  AddTensors(tensors);
  tensors.Floats("negative", {4}, Floats(4, -1.0f))
      .Floats("infinite", {4}, Floats(4, INFINITY))
      .Write(source_ / "weights.safetensors");
  for (const Case& bad : cases) {
    json graph = GraphJson();
    graph["nodes"].back().merge_patch(json::parse(bad.patch));
    EXPECT_THAT(ErrorMessage([&] { Import(graph); }),
                AllOf(HasSubstr(source_.string()), HasSubstr(bad.cause)))
        << bad.patch;
  }
  json after_relu = GraphJson();
  after_relu["nodes"][2]["inputs"] = {"none"};
  after_relu["nodes"][3]["inputs"] = {"rn"};
  after_relu["nodes"].push_back(NormNode(0, "r", "rn"));
  after_relu["nodes"].erase(0);
  after_relu["nodes"][1]["inputs"] = {"c"};
  EXPECT_THAT(ErrorMessage([&] { Import(after_relu); }),
              HasSubstr("batch_norm 'rn' does not follow one of linear"));
  json shared = GraphJson();
  shared["nodes"].push_back({{"op", "linear"},
                             {"inputs", {"f"}},
                             {"output", "other"},
                             {"weight", "dense"}});
  shared["outputs"].push_back("other");
  EXPECT_THAT(ErrorMessage([&] { Import(shared); }),
              HasSubstr("shares the tensor 'dense'"));
  EXPECT_FALSE(std::filesystem::exists(dir_ / "model.safetensors"));
}

}  // namespace
}  // namespace lutra::packer
