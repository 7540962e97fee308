#include "runtime/exec/schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "lutra/runtime/session.h"
#include "tests/kernels/random_matrix.h"
#include "tests/runtime/model_builder.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

constexpr uint32_t kNodeWidth = 48;

class ScheduleTest : public ::testing::Test {
 public:
  ScheduleTest() { builder_.Input("x", {kNodeWidth}); }

  ScheduleTest& Linear(const std::string& input, const std::string& output,
                       bool packed = true) {
    const std::string name = "w_" + output;
    builder_.Add(OpType::kLinear, {input}, output, name);
    if (packed) {
      const auto w = kernels::MakeRandomMatrix(
          {.n = kNodeWidth, .k = kNodeWidth, .bits = 4, .group_size = 16},
          kernels::TableKind::kSmall, rng_);
      builder_.Packed(name, {w.blob.get(), w.blob_bytes});
    } else {
      builder_.Floats(name, {kNodeWidth, kNodeWidth},
                      RandomFloats(kNodeWidth * kNodeWidth, 1));
    }
    return *this;
  }

  ScheduleTest& Add(OpType op, std::vector<std::string> inputs,
                    const std::string& output) {
    builder_.Add(op, std::move(inputs), output);
    return *this;
  }

 protected:
  std::shared_ptr<const Model> Load(const std::vector<std::string>& outputs) {
    ModelBuilder builder = builder_;
    for (const std::string& output : outputs) builder.Output(output);
    const auto path = dir_ / "m.safetensors";
    builder.Write(path);
    return Model::Load(path);
  }

  // The steps as "node>result+residual", nodes of a step separated by spaces.
  static std::vector<std::string> Steps(const Model& model) {
    const std::vector<Node>& nodes = model.graph().nodes;
    std::vector<std::string> steps;
    for (const ScheduledStep& step :
         ScheduleNodes(model, std::vector<bool>(nodes.size(), false))) {
      std::string text;
      for (const ScheduledNode& s : step) {
        if (!text.empty()) text += " ";
        text += nodes[s.node].output;
        if (s.result != s.node) text += ">" + nodes[s.result].output;
        if (s.residual != nullptr) text += "+" + *s.residual;
      }
      steps.push_back(text);
    }
    return steps;
  }

  // Output "y" of three tokens.
  static std::vector<float> Run(std::shared_ptr<const Model> model) {
    Session session(model, {.threads = 1});
    const std::vector<float> x = RandomFloats(3 * kNodeWidth, 5);
    std::vector<std::vector<float>> y(model->outputs().size(),
                                      std::vector<float>(3 * kNodeWidth));
    const void* const inputs[] = {x.data()};
    std::vector<float*> outputs;
    for (std::vector<float>& values : y) outputs.push_back(values.data());
    session.Run(3, inputs, outputs);
    return y[0];
  }

  using Names = std::vector<std::string>;

  std::mt19937 rng_{7};
  TempDir dir_;
  ModelBuilder builder_;
};

TEST_F(ScheduleTest, LinearNodesWithTheSameInputShareAStep) {
  Linear("x", "a").Linear("x", "b").Linear("a", "c").Linear("x", "d", false);
  const auto model = Load({"b", "c", "d"});
  EXPECT_EQ(Steps(*model), (Names{"a b", "c", "d"}));
}

TEST_F(ScheduleTest, OfAtMostFourNodes) {
  for (const char* name : {"a", "b", "c", "d", "e"}) Linear("x", name);
  EXPECT_EQ(Steps(*Load({"a", "b", "c", "d", "e"})), (Names{"a b c d", "e"}));
}

TEST_F(ScheduleTest, NodesOfTheTailAreApart) {
  Linear("x", "a").Linear("x", "b").Linear("x", "c");
  const auto model = Load({"a", "b", "c"});
  const std::vector<bool> in_tail = {false, true, false};
  std::vector<std::vector<size_t>> steps;
  for (const ScheduledStep& step : ScheduleNodes(*model, in_tail)) {
    steps.emplace_back();
    for (const ScheduledNode& s : step) steps.back().push_back(s.node);
  }
  EXPECT_EQ(steps, (std::vector<std::vector<size_t>>{{0, 2}, {1}}));
}

TEST_F(ScheduleTest, FunctionsAndSumsBelongToTheLinearNode) {
  Linear("x", "a").Add(OpType::kSilu, {"a"}, "a1");
  Linear("a1", "b").Add(OpType::kAdd, {"x", "b"}, "y");
  EXPECT_EQ(Steps(*Load({"y"})), (Names{"a>a1", "b>y+x"}));
}

TEST_F(ScheduleTest, ButNotIfTheOutputIsUsedElsewhere) {
  Linear("x", "a").Add(OpType::kRelu, {"a"}, "a1");
  Linear("x", "b").Add(OpType::kGelu, {"b"}, "b1");
  Add(OpType::kMul, {"b", "b1"}, "y");
  EXPECT_EQ(Steps(*Load({"y", "a", "a1"})), (Names{"a b", "a1", "b1", "y"}));
}

// The sum of two products of one step, of a value with itself, and a function
// that linear nodes do not have.
TEST_F(ScheduleTest, NorIfItCannotBe) {
  Linear("x", "a").Linear("x", "b").Add(OpType::kAdd, {"a", "b"}, "s");
  Linear("s", "c").Add(OpType::kAdd, {"c", "c"}, "t");
  Linear("t", "d").Add(OpType::kSigmoid, {"d"}, "y");
  EXPECT_EQ(Steps(*Load({"y"})), (Names{"a b", "s", "c", "t", "d", "y"}));
}

// Whatever is computed together, the bits are those of the nodes alone. An
// output that is also one of the graph's keeps its node apart.
TEST_F(ScheduleTest, FusedNodesGiveTheSameBits) {
  Linear("x", "a").Add(OpType::kGelu, {"a"}, "a1");
  Linear("x", "b").Add(OpType::kSilu, {"b"}, "b1");
  Linear("x", "c").Add(OpType::kRelu, {"c"}, "c1");
  Add(OpType::kAdd, {"c1", "x"}, "c2");
  Add(OpType::kMul, {"a1", "b1"}, "m").Add(OpType::kMul, {"m", "c2"}, "n");
  Linear("n", "d").Add(OpType::kAdd, {"d", "n"}, "y");
  const auto fused = Load({"y"});
  EXPECT_EQ(Steps(*fused), (Names{"a>a1 b>b1 c>c2+x", "m", "n", "d>y+n"}));
  const auto apart = Load({"y", "a", "b", "c", "c1", "d"});
  EXPECT_EQ(Steps(*apart),
            (Names{"a b c", "a1", "b1", "c1", "c2", "m", "n", "d", "y"}));
  EXPECT_EQ(Run(fused), Run(apart));
}

// Convolutions, too, of packed and float weights; each alone, also where
// another has the same input.
TEST_F(ScheduleTest, FusedConvolutionsGiveTheSameBits) {
  constexpr uint32_t kChannels = 16;
  const std::vector<int64_t> image = {7, 6, kChannels};
  const std::vector<int64_t> kernel = {3, 3};
  const std::vector<int64_t> padding = {1, 1, 1, 1};
  ModelBuilder builder;
  builder.Input("x", image);
  const auto conv = [&](const std::string& from, const std::string& to,
                        bool packed) {
    const std::string weight = "w_" + to;
    builder.Add(OpType::kConv2d, {from}, to, weight)
        .Set("kernel", kernel)
        .Set("padding", padding);
    if (packed) {
      const auto w = kernels::MakeRandomMatrix(
          {.n = kChannels, .k = 9 * kChannels, .bits = 4, .group_size = 16},
          kernels::TableKind::kSmall, rng_);
      builder.Packed(weight, {w.blob.get(), w.blob_bytes});
    } else {
      builder.Floats(weight, {kChannels, 9 * kChannels},
                     RandomFloats(kChannels * 9 * kChannels, 2));
    }
  };
  conv("x", "a", true);
  builder.Add(OpType::kRelu, {"a"}, "a1").Add(OpType::kAdd, {"a1", "x"}, "a2");
  conv("a2", "b", false);
  builder.Add(OpType::kGelu, {"b"}, "b1").Add(OpType::kAdd, {"a2", "b1"}, "b2");
  builder.Add(OpType::kDepthwiseConv2d, {"b2"}, "c", "w_c", "b_c")
      .Set("kernel", kernel)
      .Set("padding", padding)
      .Floats("w_c", {9, kChannels}, RandomFloats(9 * kChannels, 3))
      .Floats("b_c", {kChannels}, RandomFloats(kChannels, 4))
      .Add(OpType::kSilu, {"c"}, "c1")
      .Add(OpType::kAdd, {"c1", "b2"}, "c2");
  conv("c2", "d", true);
  conv("c2", "e", true);
  builder.Add(OpType::kMul, {"d", "e"}, "y").Output("y");
  const auto run = [&](bool apart, size_t threads) {
    ModelBuilder all = builder;
    if (apart) {
      for (const char* name : {"a", "a1", "b", "b1", "c", "c1"})
        all.Output(name);
    }
    all.Write(dir_ / "m.safetensors");
    const auto model = Model::Load(dir_ / "m.safetensors");
    EXPECT_EQ(Steps(*model),
              apart ? (Names{"a", "a1", "a2", "b", "b1", "b2", "c", "c1", "c2",
                             "d", "e", "y"})
                    : (Names{"a>a2+x", "b>b2+a2", "c>c2+b2", "d", "e", "y"}));
    Session session(model, {.threads = threads});
    const size_t size = 2 * model->outputs()[0].ElementCount();
    const auto x = RandomFloats(size, 5);
    std::vector<std::vector<float>> y(model->outputs().size(),
                                      std::vector<float>(size));
    const void* const inputs[] = {x.data()};
    std::vector<float*> outputs;
    for (std::vector<float>& values : y) outputs.push_back(values.data());
    session.Run(2, inputs, outputs);
    return y[0];
  };
  const auto expected = run(true, 1);
  EXPECT_EQ(run(false, 1), expected);
  EXPECT_EQ(run(false, 3), expected);
}

}  // namespace
}  // namespace lutra
