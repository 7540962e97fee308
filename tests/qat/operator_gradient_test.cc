// Every operator, by one table: gradients against differences of the forward
// pass, bits on several threads, allocations.

#include "lutra/qat/operator_gradient.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "lutra/kernels/activation_rounding.h"
#include "lutra/kernels/attention.h"
#include "lutra/kernels/thread_team.h"
#include "lutra/qat/training_program.h"
#include "lutra/runtime/input_quantization.h"
#include "lutra/runtime/operator.h"
#include "lutra/runtime/random.h"
#include "tests/runtime/allocation_counter.h"
#include "tests/runtime/throws.h"

namespace lutra::qat {
namespace {

using Shape = std::vector<int64_t>;

// One node, and how it is called.
struct Case {
  std::string name;
  OpType op;
  std::vector<Shape> inputs;  // without rows; of embedding: ids
  Attributes attributes = {};
  Shape weight = {};
  Shape bias = {};
  std::vector<TrainingSequence> sequences = {{.rows = 5}};
  // Functions with corners need small steps.
  float step = 0.02f;
  // Rounding of small differences counts more.
  double tolerance = 1e-3;
  // Of routes, input 1 of experts: how many experts there are.
  size_t experts = 0;
  // Whether input 1 has a gradient.
  bool second_counts = true;
  // Whether inputs are away from 0, above it.
  bool positive = false;
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.name;
}

constexpr float kSmallStep = 1e-3f;
constexpr double kCoarse = 2e-2;

std::vector<Case> Cases() {
  const Attribute no_pad = std::vector<int64_t>{0, 0, 0, 0};
  const Attribute pad = std::vector<int64_t>{1, 0, 2, 1};
  const Attribute window = std::vector<int64_t>{3, 2};
  const Attribute pool_pad = std::vector<int64_t>{1, 0, 1, 1};
  const Attribute stride = std::vector<int64_t>{2, 1};
  const Attribute dilation = std::vector<int64_t>{1, 2};
  const std::vector<TrainingSequence> texts = {
      {.rows = 4}, {.rows = 1}, {.rows = 70}};
  return {
      {"Linear", OpType::kLinear, {{7}}, {}, {5, 7}, {5}},
      {"LinearWithoutBias", OpType::kLinear, {{7}}, {}, {5, 7}},
      {"Embedding", OpType::kEmbedding, {{}}, {}, {4, 6}},
      {"EmbeddingWithAliases",
       OpType::kEmbedding,
       {{}},
       {{"aliases", std::vector<int64_t>{3, 1}}},
       {4, 6}},
      {"Relu",
       OpType::kRelu,
       {{9}},
       {},
       {},
       {},
       {{.rows = 5}},
       kSmallStep,
       kCoarse},
      {"Gelu", OpType::kGelu, {{9}}},
      {"GeluTanh", OpType::kGeluTanh, {{9}}},
      {"Relu2",
       OpType::kRelu2,
       {{9}},
       {},
       {},
       {},
       {{.rows = 5}},
       kSmallStep,
       kCoarse},
      {"Silu", OpType::kSilu, {{9}}},
      {"Sigmoid", OpType::kSigmoid, {{9}}},
      {"Tanh", OpType::kTanh, {{9}}},
      {"Exp", OpType::kExp, {{9}}},
      {.name = "Square",
       .op = OpType::kPower,
       .inputs = {{9}},
       .attributes = {{"exponent", 2.0}}},
      {.name = "Root",
       .op = OpType::kPower,
       .inputs = {{9}},
       .attributes = {{"exponent", 0.5}},
       .positive = true},
      {.name = "InverseRoot",
       .op = OpType::kPower,
       .inputs = {{9}},
       .attributes = {{"exponent", -1.5}},
       .positive = true},
      {"Matmul", OpType::kMatmul, {{2, 3, 5}, {2, 5, 4}}},
      {"Transpose",
       OpType::kTranspose,
       {{2, 3, 4}},
       {{"order", std::vector<int64_t>{2, 0, 1}}}},
      {"EmbeddingOfSeveralIds", OpType::kEmbedding, {{3}}, {}, {4, 6}},
      {"Add", OpType::kAdd, {{3, 4}, {3, 4}}},
      {"Mul", OpType::kMul, {{3, 4}, {3, 4}}},
      {"Softmax", OpType::kSoftmax, {{2, 9}}},
      {"RmsNorm", OpType::kRmsNorm, {{2, 19}}, {{"eps", 1e-5}}, {19}},
      {"RmsNormOfHeads", OpType::kRmsNorm, {{3, 12}}, {{"eps", 1e-5}}, {4}},
      {"LayerNorm", OpType::kLayerNorm, {{2, 19}}, {{"eps", 1e-5}}, {19}, {19}},
      {"RopeHalf",
       OpType::kRope,
       {{20}},
       {{"head_dim", 10.0}, {"pairing", "half"}, {"scale", 1.5}},
       {4},
       {},
       texts},
      {"RopeAdjacent",
       OpType::kRope,
       {{20}},
       {{"head_dim", 10.0}, {"pairing", "adjacent"}},
       {5},
       {},
       {{.rows = 3, .position = 7}}},
      {"Attention",
       OpType::kAttention,
       {{24}, {12}, {12}},
       {{"heads", 4.0}, {"kv_heads", 2.0}},
       {},
       {},
       texts},
      {"AttentionWindow",
       OpType::kAttention,
       {{10}, {10}, {10}},
       {{"heads", 2.0}, {"kv_heads", 2.0}, {"window", 3.0}, {"scale", 0.7}},
       {},
       {},
       texts},
      {"AttentionCapAndSinks",
       OpType::kAttention,
       {{24}, {12}, {12}},
       {{"heads", 4.0}, {"kv_heads", 2.0}, {"soft_cap", 1.5}, {"scale", 0.5}},
       {4},
       {},
       texts},
      {"Conv2d",
       OpType::kConv2d,
       {{6, 5, 3}},
       {{"kernel", window},
        {"stride", stride},
        {"padding", pad},
        {"dilation", dilation}},
       {4, 18},
       {4}},
      {"Conv2dPointwise",
       OpType::kConv2d,
       {{3, 2, 5}},
       {{"kernel", std::vector<int64_t>{1, 1}}, {"padding", no_pad}},
       {4, 5}},
      {"DepthwiseConv2d",
       OpType::kDepthwiseConv2d,
       {{6, 5, 3}},
       {{"kernel", window},
        {"stride", stride},
        {"padding", pad},
        {"dilation", dilation}},
       {6, 3},
       {3}},
      {"AvgPool2d",
       OpType::kAvgPool2d,
       {{6, 5, 3}},
       {{"kernel", window}, {"stride", stride}, {"padding", pool_pad}}},
      {"MaxPool2d",
       OpType::kMaxPool2d,
       {{6, 5, 3}},
       {{"kernel", window}, {"stride", stride}, {"padding", pool_pad}},
       {},
       {},
       {{.rows = 5}},
       kSmallStep,
       kCoarse},
      {"Reshape",
       OpType::kReshape,
       {{3, 4}},
       {{"shape", std::vector<int64_t>{2, 6}}}},
      {"Scale", OpType::kScale, {{3, 4}}, {{"factor", -1.7}}},
      {"ScaleByWeight", OpType::kScale, {{3, 4}}, {{"factor", 1.2}}, {1}},
      {"Clamp",
       OpType::kClamp,
       {{9}},
       {{"low", -0.8}, {"high", 0.7}},
       {},
       {},
       {{.rows = 5}},
       kSmallStep,
       kCoarse},
      // Of steps so fine that differences see a line.
      {"FakeQuantize",
       OpType::kFakeQuantize,
       {{9}},
       {{"scale", 1.25e-5}, {"low", -64000.0}, {"high", 56000.0}},
       {},
       {},
       {{.rows = 5}},
       kSmallStep,
       kCoarse},
      {"Concat", OpType::kConcat, {{2, 3}, {2, 5}}},
      {"Gather", OpType::kGather, {{7}}, {}, {11}},
      {"Slice", OpType::kSlice, {{12}}, {{"begin", 3.0}, {"length", 5.0}}},
      {"PositionEmbedding",
       OpType::kPositionEmbedding,
       {{6}},
       {},
       {72, 6},
       {},
       texts},
      {"PositionScale",
       OpType::kPositionScale,
       {{2, 3}},
       {{"period", 2.0}},
       {3},
       {},
       texts},
      {"AttentionBothDirections",
       OpType::kAttention,
       {{24}, {12}, {12}},
       {{"heads", 4.0}, {"kv_heads", 2.0}, {"direction", "both"}},
       {},
       {},
       texts},
      {"AttentionWindowBothDirections",
       OpType::kAttention,
       {{10}, {10}, {10}},
       {{"heads", 2.0},
        {"kv_heads", 2.0},
        {"window", 3.0},
        {"soft_cap", 1.5},
        {"direction", "both"}},
       {2},
       {},
       texts},
      {"CausalConv1d", OpType::kCausalConv1d, {{6}}, {}, {3, 6}, {6}, texts},
      {"CausalConv1dWithoutBias", OpType::kCausalConv1d, {{5}}, {}, {4, 5}},
      {"GatedDeltaRule",
       OpType::kGatedDeltaRule,
       {{6}, {6}, {16}, {4}, {4}},
       {{"heads", 4.0}, {"key_heads", 2.0}},
       {4},
       {},
       {{.rows = 3}, {.rows = 1}, {.rows = 4}},
       kSmallStep,
       kCoarse},
      {"RouteOverAll",
       OpType::kRoute,
       {{6}},
       {{"count", 2.0}, {"over", "all"}},
       {6},
       {},
       {{.rows = 5}},
       kSmallStep,
       kCoarse},
      {"RouteOverChosen",
       OpType::kRoute,
       {{6}},
       {{"count", 3.0}, {"over", "chosen"}},
       {},
       {},
       {{.rows = 5}},
       kSmallStep,
       kCoarse},
      {"ExpertLinear",
       OpType::kExpertLinear,
       {{5}, {4}},
       {{"experts", 3.0}},
       {12, 5},
       {12},
       {{.rows = 5}},
       0.02f,
       1e-3,
       3,
       false},
      {"ExpertLinearOfOwnInputs",
       OpType::kExpertLinear,
       {{2, 5}, {4}},
       {{"experts", 3.0}},
       {12, 5},
       {},
       {{.rows = 5}},
       0.02f,
       1e-3,
       3,
       false},
      {"ExpertSum",
       OpType::kExpertSum,
       {{2, 5}, {4}},
       {},
       {},
       {},
       {{.rows = 5}},
       0.02f,
       1e-3,
       3},
      {"TokenPoolMean",
       OpType::kTokenPool,
       {{7}},
       {{"over", "mean"}},
       {},
       {},
       texts},
      {"TokenPoolFirst",
       OpType::kTokenPool,
       {{7}},
       {{"over", "first"}},
       {},
       {},
       texts},
      {"LstmCell",
       OpType::kLstmCell,
       {{24}},
       {{"gates", "ifgo"}},
       {24, 6},
       {},
       {{.rows = 4}, {.rows = 1}, {.rows = 7}}},
      {"LstmCellOtherOrder",
       OpType::kLstmCell,
       {{8}},
       {{"gates", "ofci"}},
       {8, 2}},
      {"LstmCellBoth",
       OpType::kLstmCell,
       {{12}},
       {{"gates", "iofg"}, {"output", "both"}},
       {12, 3},
       {},
       {{.rows = 4}, {.rows = 1}}},
      {"GruCellResetBefore",
       OpType::kGruCell,
       {{18}},
       {{"gates", "zrn"}, {"reset", "before"}},
       {18, 6},
       {18},
       {{.rows = 4}, {.rows = 1}, {.rows = 7}}},
      {"GruCellResetAfter",
       OpType::kGruCell,
       {{9}},
       {{"gates", "rzn"}, {"reset", "after"}},
       {9, 3},
       {9},
       {{.rows = 4}, {.rows = 6}}},
      {"GruCellWithoutBias",
       OpType::kGruCell,
       {{9}},
       {{"gates", "zrn"}, {"reset", "after"}},
       {9, 3}},
      {"GruCellBackward",
       OpType::kGruCell,
       {{9}},
       {{"gates", "zrn"}, {"reset", "before"}, {"direction", "backward"}},
       {9, 3},
       {},
       {{.rows = 4}, {.rows = 1}, {.rows = 5}}},
      {"LstmCellBackward",
       OpType::kLstmCell,
       {{12}},
       {{"gates", "iofg"}, {"output", "both"}, {"direction", "backward"}},
       {12, 3},
       {},
       {{.rows = 4}, {.rows = 1}, {.rows = 5}}},
  };
}

std::vector<float> RandomRow(size_t n, uint64_t seed) {
  Random random(seed);
  std::vector<float> values(n);
  for (float& value : values) value = 2.0f * random.Symmetric();
  return values;
}

// A case under way. Operands are the inputs and the trained tensors.
class Harness {
 public:
  explicit Harness(const Case& c, Executor* executor = nullptr,
                   std::optional<kernels::CacheType> cache = std::nullopt)
      : case_(c) {
    graph_.cache = cache;
    for (const TrainingSequence& s : c.sequences) rows_ += s.rows;
    Node node{c.op, {}, "y", "", "", c.attributes};
    for (size_t i = 0; i < c.inputs.size(); ++i) {
      const std::string name = "x" + std::to_string(i);
      const bool ids = c.op == OpType::kEmbedding;
      graph_.inputs.push_back(
          {name, ids ? ValueType::kInt32 : ValueType::kFloat32, c.inputs[i]});
      node.inputs.push_back(name);
      size_t width = 1;
      for (const int64_t size : c.inputs[i]) width *= static_cast<size_t>(size);
      if (ids) {
        for (size_t row = 0; row < rows_ * width; ++row) {
          ids_.push_back(static_cast<int32_t>(row * 3 % 4));
        }
      } else {
        inputs_.push_back(RandomRow(rows_ * width, i + 1));
        if (c.positive) {
          for (float& x : inputs_.back()) x = std::abs(x) + 0.5f;
        }
        if (c.experts > 0 && i == 1) SetRoutes(width, inputs_.back());
      }
    }
    const auto tensor = [&](const char* name, const Shape& shape,
                            std::string& of_node) {
      if (shape.empty()) return;
      of_node = name;
      Tensor& t = parameters_.try_emplace(name, shape).first->second;
      t.values = RandomRow(t.values.size(), 77 + of_node.size());
      for (size_t i = 0; c.op == OpType::kGather && i < t.values.size(); ++i) {
        t.values[i] = static_cast<float>(i * 5 % 7);  // places, some twice
      }
    };
    tensor("weight", c.weight, node.weight);
    tensor("bias", c.bias, node.bias);
    graph_.nodes.push_back(std::move(node));
    graph_.outputs.push_back("y");
    program_ = std::make_unique<TrainingProgram>(
        graph_, parameters_,
        TrainingProgramOptions{.executor = executor, .input_gradients = true});
    dy_ = RandomRow(rows_ * program_->OutputWidth(0), 5);
  }

  // In the middle between the numbers of experts, so that small steps choose
  // the same.
  void SetRoutes(size_t width, std::vector<float>& routes) const {
    for (size_t i = 0; i < routes.size(); ++i) {
      if (i % width >= width / 2) continue;
      routes[i] =
          static_cast<float>((i * 5 + i / width) % case_.experts) + 0.5f;
    }
  }

  void Forward() {
    if (pointers_.empty()) {
      if (!ids_.empty()) pointers_.push_back(ids_.data());
      for (const auto& input : inputs_) pointers_.push_back(input.data());
    }
    program_->Forward(case_.sequences, pointers_);
  }
  void Backward() {
    const std::array<const float*, 1> gradients{dy_.data()};
    program_->ClearGradients();
    program_->Backward(gradients);
  }
  double Loss() {
    Forward();
    double sum = 0.0;
    const auto y = program_->Output(0);
    for (size_t i = 0; i < dy_.size(); ++i) sum += double{dy_[i]} * y[i];
    return sum;
  }

  // The operands and their gradients.
  std::vector<std::vector<float>*> Operands() {
    std::vector<std::vector<float>*> operands;
    for (auto& input : inputs_) operands.push_back(&input);
    for (auto& [name, gradient] : program_->gradients()) {
      operands.push_back(&parameters_.find(name)->second.values);
    }
    return operands;
  }
  std::vector<std::vector<float>> Gradients() const {
    std::vector<std::vector<float>> all;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const auto gradient = program_->InputGradient(i);
      all.emplace_back(gradient.begin(), gradient.end());
    }
    for (const auto& [name, gradient] : program_->gradients()) {
      all.push_back(gradient.values);
    }
    return all;
  }

 private:
  const Case& case_;
  size_t rows_ = 0;
  Graph graph_;
  TensorMap parameters_;
  std::vector<std::vector<float>> inputs_;
  std::vector<int32_t> ids_;
  std::vector<const void*> pointers_;
  std::unique_ptr<TrainingProgram> program_;
  std::vector<float> dy_;
};

class OperatorGradientTest : public ::testing::TestWithParam<Case> {};

// Along random directions of each operand: central differences at two steps,
// without the error of the second order.
TEST_P(OperatorGradientTest, MatchesDifferences) {
  const Case& c = GetParam();
  Harness harness(c);
  harness.Forward();
  harness.Backward();
  const auto gradients = harness.Gradients();
  const auto operands = harness.Operands();
  ASSERT_EQ(gradients.size(), operands.size());
  ASSERT_FALSE(operands.empty());
  for (size_t i = 0; i < operands.size(); ++i) {
    std::vector<float>& operand = *operands[i];
    if (i == 1 && !c.second_counts) {
      for (const float g : gradients[i]) EXPECT_EQ(g, 0.0f);
      continue;
    }
    const std::vector<float> before = operand;
    double largest = 0.0;
    for (uint64_t seed = 0; seed < 4; ++seed) {
      const std::vector<float> direction = RandomRow(operand.size(), seed);
      const auto slope = [&](float step) {
        double at[2];
        for (const int side : {0, 1}) {
          for (size_t j = 0; j < operand.size(); ++j) {
            operand[j] = before[j] + (side == 0 ? -step : step) * direction[j];
          }
          at[side] = harness.Loss();
        }
        return (at[1] - at[0]) / (2.0 * step);
      };
      const double expected = (4.0 * slope(c.step) - slope(2 * c.step)) / 3.0;
      double got = 0.0;
      double size = 0.0;
      for (size_t j = 0; j < operand.size(); ++j) {
        got += double{gradients[i][j]} * direction[j];
        size += std::abs(double{gradients[i][j]} * direction[j]);
      }
      EXPECT_NEAR(got, expected, c.tolerance * size) << "operand " << i;
      largest = std::max(largest, std::abs(expected) / size);
    }
    EXPECT_GT(largest, 0.01) << "the check checks nothing";
    operand = before;
  }
}

TEST_P(OperatorGradientTest, SameBitsForAnyNumberOfThreads) {
  Harness alone(GetParam());
  alone.Forward();
  alone.Backward();
  for (const size_t threads : {2u, 3u}) {
    const std::unique_ptr<Executor> executor = StartThreadTeam(threads);
    Harness harness(GetParam(), executor.get());
    harness.Forward();
    harness.Backward();
    EXPECT_EQ(harness.Gradients(), alone.Gradients());
  }
}

TEST_P(OperatorGradientTest, RepeatsWithoutAllocating) {
  Harness harness(GetParam());
  harness.Forward();
  harness.Backward();
  const auto first = harness.Gradients();
  const size_t before = AllocationCount();
  harness.Forward();
  harness.Backward();
  EXPECT_EQ(AllocationCount(), before);
  EXPECT_EQ(harness.Gradients(), first);
}

INSTANTIATE_TEST_SUITE_P(All, OperatorGradientTest,
                         ::testing::ValuesIn(Cases()),
                         [](const auto& test) { return test.param.name; });

// Rounding by the range of the values passes all of them on, as if it were
// none.
TEST(DynamicQuantizeTest, GradientsPassTheRounding) {
  const Case rounding{"DynamicQuantize",
                      OpType::kDynamicQuantize,
                      {{3, 4}},
                      {{"over", "call"}}};
  const Case plain{"Reshape",
                   OpType::kReshape,
                   {{3, 4}},
                   {{"shape", std::vector<int64_t>{3, 4}}}};
  Harness rounded(rounding);
  Harness copied(plain);
  EXPECT_NE(rounded.Loss(), copied.Loss());
  rounded.Backward();
  copied.Backward();
  EXPECT_EQ(rounded.Gradients(), copied.Gradients());
}

// The tensor of a constant gets what all rows give.
TEST(ConstantGradientTest, IsTheSumOverRows) {
  constexpr size_t kRows = 5;
  constexpr size_t kWidth = 6;
  Graph graph;
  graph.inputs.push_back({"x", ValueType::kFloat32, {2, 3}});
  graph.nodes = {{OpType::kConstant, {}, "c", "weight", ""},
                 {OpType::kMul, {"x", "c"}, "y", "", ""}};
  graph.outputs.push_back("y");
  TensorMap parameters;
  Tensor& weight = parameters.try_emplace("weight", Shape{2, 3}).first->second;
  weight.values = RandomRow(kWidth, 3);
  TrainingProgram program(graph, parameters,
                          TrainingProgramOptions{.input_gradients = true});
  const std::vector<float> x = RandomRow(kRows * kWidth, 1);
  const std::vector<float> dy = RandomRow(kRows * kWidth, 2);
  const std::vector<TrainingSequence> sequences = {{.rows = kRows}};
  const std::array<const void*, 1> inputs{x.data()};
  const std::array<const float*, 1> gradients{dy.data()};
  program.Forward(sequences, inputs);
  program.ClearGradients();
  program.Backward(gradients);
  const auto& got = program.gradients().find("weight")->second.values;
  ASSERT_EQ(got.size(), kWidth);
  for (size_t i = 0; i < kWidth; ++i) {
    float sum = 0;
    for (size_t row = 0; row < kRows; ++row) {
      sum += dy[row * kWidth + i] * x[row * kWidth + i];
    }
    EXPECT_NEAR(got[i], sum, 1e-5);
  }
}

// A node that rounds its input has the gradients of one that is given rounded
// values, but for what was clipped.
TEST(RoundedInputTest, GradientsPassTheRounding) {
  int tried = 0;
  for (const Case& c : Cases()) {
    if (!QuantizesInput(c.op) || c.op == OpType::kLstmCell ||
        c.op == OpType::kGruCell) {
      continue;
    }
    for (const int bits : {3, 8}) {
      SCOPED_TRACE(c.name);
      ++tried;
      // A zero is a zero, so that windows beyond an image are, too.
      const kernels::ActivationRounding rounding{
          .bits = bits, .range_min = -0.75f, .range_max = 1};
      Node node{c.op, {}, "", "", "", c.attributes};
      InputQuantization input;
      input.type = rounding.type;
      input.bits = bits;
      input.range_min = rounding.range_min;
      input.range_max = rounding.range_max;
      SetInputQuantization(input, node);
      Case rounds = c;
      rounds.attributes = node.attributes;
      Harness harness(rounds);
      Harness plain(c);
      std::vector<float>& x = *plain.Operands()[0];
      std::vector<uint8_t> inside(x.size());
      kernels::RoundActivations(rounding, x.data(), 1, x.size(), x.data(),
                                inside.data(), nullptr);
      EXPECT_EQ(harness.Loss(), plain.Loss());
      harness.Backward();
      plain.Backward();
      const auto got = harness.Gradients();
      auto expected = plain.Gradients();
      size_t clipped = 0;
      for (size_t i = 0; i < x.size(); ++i) {
        clipped += inside[i] == 0;
        if (inside[i] == 0) expected[0][i] = 0;
      }
      EXPECT_GT(clipped, x.size() / 10);
      EXPECT_LT(clipped, x.size());
      EXPECT_EQ(got, expected);
    }
  }
  EXPECT_GE(tried, 8);
}

// The state of an LSTM that is clipped to nothing: gradients go through the
// cell alone, as with weights of zeros.
TEST(RoundedInputTest, ClippedStateOfAnLstmHasNoGradient) {
  Case c{"Lstm",
         OpType::kLstmCell,
         {{24}},
         {{"gates", "ifgo"}},
         {24, 6},
         {},
         {{.rows = 4}, {.rows = 1}, {.rows = 7}}};
  Harness zeros(c);
  std::vector<float>& weight = *zeros.Operands()[1];
  std::fill(weight.begin(), weight.end(), 0.0f);
  Node node{c.op, {}, "", "", "", c.attributes};
  InputQuantization input;
  input.type = kernels::ActivationType::kInt8Symmetric;
  input.range_max = 1e-20f;
  SetInputQuantization(input, node);
  c.attributes = node.attributes;
  Harness clipped(c);
  EXPECT_EQ(clipped.Loss(), zeros.Loss());
  clipped.Backward();
  zeros.Backward();
  EXPECT_EQ(clipped.Gradients()[0], zeros.Gradients()[0]);
  // One that is rounded finely has almost the gradients of one that is not.
  input.range_min = -1;
  input.range_max = 1;
  SetInputQuantization(input, node);
  Case fine_case = c;
  fine_case.attributes = node.attributes;
  Case float_case = c;
  float_case.attributes = {{"gates", "ifgo"}};
  Harness fine(fine_case);
  Harness floats(float_case);
  fine.Forward();
  floats.Forward();
  fine.Backward();
  floats.Backward();
  for (size_t i = 0; i < 2; ++i) {
    const auto got = fine.Gradients()[i];
    const auto expected = floats.Gradients()[i];
    EXPECT_NE(got, expected);
    for (size_t j = 0; j < got.size(); ++j) {
      EXPECT_NEAR(got[j], expected[j], 0.05f) << i;
    }
  }
}

// With keys and values as the cache has them: float16 multiplies these as
// float32 does, int8 rounds queries and weights too, to 16 bits.
TEST(CacheTest, GradientsPassTheRounding) {
  for (const Case& c : Cases()) {
    if (c.op != OpType::kAttention) continue;
    const auto head_dim = static_cast<size_t>(
        c.inputs[0][0] / static_cast<int64_t>(std::get<double>(
                             c.attributes.find("heads")->second)));
    for (const auto& [cache, tolerance] :
         {std::pair(kernels::CacheType::kFloat16, 0.0f),
          std::pair(kernels::CacheType::kInt8, 1e-3f)}) {
      SCOPED_TRACE(c.name + " " + std::string(Name(cache)));
      Harness cached(c, nullptr, cache);
      Harness rounded(c);
      for (const size_t input : {size_t{1}, size_t{2}}) {
        std::vector<float>& values = *rounded.Operands()[input];
        for (size_t i = 0; i < values.size(); i += head_dim) {
          kernels::RoundToCache(cache, head_dim, &values[i], &values[i]);
        }
      }
      Harness plain(c);
      for (Harness* one : {&cached, &rounded, &plain}) one->Loss();
      for (Harness* one : {&cached, &rounded, &plain}) one->Backward();
      const auto actual = cached.Gradients();
      const auto expected = rounded.Gradients();
      for (size_t i = 0; i < actual.size(); ++i) {
        EXPECT_THAT(
            actual[i],
            ::testing::Pointwise(::testing::FloatNear(tolerance), expected[i]))
            << i;
      }
      EXPECT_NE(actual, plain.Gradients());
    }
  }
}

TEST(OperatorGradientTableTest, HasEveryOperator) {
  std::set<OpType> tested;
  for (const Case& c : Cases()) tested.insert(c.op);
  // These have tests of their own above: differences see the steps of the one,
  // the other has no input.
  tested.insert(OpType::kDynamicQuantize);
  tested.insert(OpType::kConstant);
  for (const OpType op : AllOperators()) {
    EXPECT_TRUE(tested.contains(op)) << Name(op);
  }
}

// y = x^2 under an app's name.
class Square : public Operator {
 public:
  Square() : Operator({.name = "test.square"}) {}
  std::vector<int64_t> InferShape(
      const Model&, const Node&,
      Span<const ValueInfo* const> inputs) const override {
    return inputs[0]->shape;
  }
  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution&,
                             const Binding& binding) const override {
    class SquareStep : public Step {
     public:
      SquareStep(const Binding& b, size_t width) : b_(b), width_(width) {}
      void Run(size_t m, const Call&) override {
        const auto* x = static_cast<const float*>(b_.inputs[0]);
        for (size_t i = 0; i < m * width_; ++i) b_.output[i] = x[i] * x[i];
      }
      Binding b_;
      size_t width_;
    };
    return std::make_unique<SquareStep>(
        binding, model.value(node.output).ElementCount());
  }
};

class SquareGradient : public OperatorGradient {
 public:
  bool NeedsInputs() const override { return true; }
  std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution&,
      const BackwardBinding& binding) const override {
    class SquareStep : public BackwardStep {
     public:
      SquareStep(const BackwardBinding& b, size_t width)
          : b_(b), width_(width) {}
      void Run(size_t m, const Call&) override {
        const auto* x = static_cast<const float*>(b_.inputs[0]);
        const GradientTarget& dx = b_.input_gradients[0];
        for (size_t i = 0; i < m * width_; ++i) {
          const float d = 2.0f * x[i] * b_.output_gradient[i];
          dx.values[i] = dx.accumulate ? dx.values[i] + d : d;
        }
      }
      BackwardBinding b_;
      size_t width_;
    };
    return std::make_unique<SquareStep>(
        binding, model.value(node.output).ElementCount());
  }
};

TEST(AppGradientTest, IsTrained) {
  const OpType op = RegisterOperator(std::make_unique<const Square>());
  Graph graph;
  graph.inputs = {{"x", ValueType::kFloat32, {2}}};
  graph.nodes = {{op, {"x"}, "y", "", ""}};
  graph.outputs = {"y"};
  const TensorMap none;
  EXPECT_EQ(ErrorMessage([&] { TrainingProgram(graph, none, {}); }),
            "training: graph: test.square node 'y': training has no gradient "
            "for this operator");
  RegisterGradient(op, std::make_unique<const SquareGradient>());
  EXPECT_EQ(ErrorMessage([&] {
              RegisterGradient(op, std::make_unique<const SquareGradient>());
            }),
            "operator 'test.square' has a gradient already");
  EXPECT_EQ(ErrorMessage([&] {
              RegisterGradient(OpType::kRelu,
                               std::make_unique<const SquareGradient>());
            }),
            "operator 'relu' has a gradient already");
  TrainingProgram program(graph, none, {.input_gradients = true});
  const std::array<float, 2> x = {3.0f, -0.5f};
  const std::array<const void*, 1> inputs{x.data()};
  program.Forward(1, inputs);
  const std::array<float, 2> dy = {1.0f, 2.0f};
  const std::array<const float*, 1> gradients{dy.data()};
  program.Backward(gradients);
  EXPECT_THAT(program.InputGradient(0), ::testing::ElementsAre(6.0f, -2.0f));
}

}  // namespace
}  // namespace lutra::qat
