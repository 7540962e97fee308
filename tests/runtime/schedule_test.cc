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

}  // namespace
}  // namespace lutra
