#include "lutra/qat/training_program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lutra/kernels/thread_team.h"
#include "lutra/runtime/random.h"
#include "tests/runtime/allocation_counter.h"
#include "tests/runtime/throws.h"

namespace lutra::qat {
namespace {

using ::testing::HasSubstr;
using Doubles = std::vector<double>;

// The operators once more, in double and from their definitions: what the
// gradients are checked against by central differences.
class ReferenceGraph {
 public:
  ReferenceGraph(const Graph& graph, const TensorMap& parameters)
      : graph_(graph) {
    for (const auto& [name, tensor] : parameters) {
      parameters_[name] = {tensor.values.begin(), tensor.values.end()};
      shapes_[name] = tensor.shape;
    }
  }

  Doubles& parameter(const std::string& name) { return parameters_[name]; }

  // The values of all outputs, one after the other. Exactly one input.
  Doubles Run(size_t m, const Doubles& input) {
    std::map<std::string, Doubles> values;
    values[graph_.inputs[0].name] = input;
    for (const Node& node : graph_.nodes) {
      const Doubles& x = values.at(node.inputs[0]);
      values[node.output] =
          HasWeight(node.op)
              ? Weighted(node, m, x)
              : Elementwise(node.op, m, x, values.at(node.inputs.back()));
    }
    Doubles outputs;
    for (const std::string& name : graph_.outputs) {
      outputs.insert(outputs.end(), values.at(name).begin(),
                     values.at(name).end());
    }
    return outputs;
  }

 private:
  Doubles Weighted(const Node& node, size_t m, const Doubles& x) {
    const Doubles& weight = parameters_.at(node.weight);
    const auto n = static_cast<size_t>(shapes_.at(node.weight)[0]);
    const auto k = static_cast<size_t>(shapes_.at(node.weight)[1]);
    Doubles y;
    for (size_t row = 0; row < m; ++row) {
      if (node.op == OpType::kEmbedding) {
        const auto begin =
            weight.begin() + static_cast<std::ptrdiff_t>(x[row]) *
                                 static_cast<std::ptrdiff_t>(k);
        y.insert(y.end(), begin, begin + static_cast<std::ptrdiff_t>(k));
        continue;
      }
      for (size_t out = 0; out < n; ++out) {
        double sum = node.bias.empty() ? 0.0 : parameters_.at(node.bias)[out];
        for (size_t i = 0; i < k; ++i) {
          sum += x[row * k + i] * weight[out * k + i];
        }
        y.push_back(sum);
      }
    }
    return y;
  }

  static Doubles Elementwise(OpType op, size_t m, const Doubles& a,
                             const Doubles& b) {
    if (op == OpType::kSoftmax) return Softmax(m, a);
    Doubles y(a.size());
    for (size_t i = 0; i < a.size(); ++i) {
      const double x = a[i];
      switch (op) {
        case OpType::kRelu:
          y[i] = std::max(x, 0.0);
          break;
        case OpType::kGelu:
          y[i] = x * 0.5 * std::erfc(-x / std::sqrt(2.0));
          break;
        case OpType::kSilu:
          y[i] = x / (1.0 + std::exp(-x));
          break;
        case OpType::kAdd:
          y[i] = x + b[i];
          break;
        default:  // kMul
          y[i] = x * b[i];
      }
    }
    return y;
  }

  static Doubles Softmax(size_t m, const Doubles& x) {
    Doubles y(x.size());
    const size_t width = x.size() / m;
    for (size_t begin = 0; begin < x.size(); begin += width) {
      double sum = 0.0;
      for (size_t i = begin; i < begin + width; ++i) sum += std::exp(x[i]);
      for (size_t i = begin; i < begin + width; ++i) {
        y[i] = std::exp(x[i]) / sum;
      }
    }
    return y;
  }

  const Graph& graph_;
  std::map<std::string, Doubles> parameters_;
  std::map<std::string, std::vector<int64_t>> shapes_;
};

// A graph under construction; values are named by their nodes.
struct Builder {
  Graph graph;
  TensorMap parameters;
  Random random{7};

  void Parameter(const std::string& name, std::vector<int64_t> shape) {
    Tensor tensor(shape);
    // Sums of a few dozen products stay of the order of 1, where no operator
    // is flat.
    const float scale =
        shape.size() == 2
            ? 2.0f /
                  std::sqrt(static_cast<float>(std::max<int64_t>(shape[1], 4)))
            : 1.0f;
    for (float& value : tensor.values) value = scale * random.Symmetric();
    parameters.emplace(name, std::move(tensor));
  }
  void Linear(const std::string& x, const std::string& y,
              const std::string& weight, const std::string& bias = "") {
    graph.nodes.push_back({OpType::kLinear, {x}, y, weight, bias});
  }
  void Op(OpType op, std::vector<std::string> x, const std::string& y) {
    graph.nodes.push_back({op, std::move(x), y, "", ""});
  }
};

// One input and its bits as the graph takes them.
struct Input {
  std::vector<float> floats;
  std::vector<int32_t> ids;
  Doubles doubles;

  Input(const Graph& graph, const TensorMap& parameters, size_t m) {
    Random random(11);
    if (graph.inputs[0].type == ValueType::kInt32) {
      const auto rows = static_cast<size_t>(
          parameters.find(graph.nodes[0].weight)->second.shape[0]);
      for (size_t i = 0; i < m; ++i) {
        ids.push_back(static_cast<int32_t>(random.Below(rows)));
      }
      doubles.assign(ids.begin(), ids.end());
    } else {
      floats.resize(m * static_cast<size_t>(graph.inputs[0].shape[0]));
      for (float& value : floats) value = random.Symmetric();
      doubles.assign(floats.begin(), floats.end());
    }
  }
  const void* data() const {
    return ids.empty() ? static_cast<const void*>(floats.data()) : ids.data();
  }
};

// Gradients of the sum of outputs, each weighted by a random number.
class GradientCheck {
 public:
  GradientCheck(Builder builder, size_t m)
      : builder_(std::move(builder)),
        m_(m),
        input_(builder_.graph, builder_.parameters, m) {}

  std::unique_ptr<TrainingProgram> Run(Executor* executor = nullptr) {
    auto program = std::make_unique<TrainingProgram>(
        builder_.graph, builder_.parameters,
        TrainingProgramOptions{.executor = executor});
    RunWith(*program);
    return program;
  }

  void RunWith(TrainingProgram& program) {
    const std::array<const void*, 1> inputs{input_.data()};
    program.Forward(m_, inputs);
    outputs_.clear();
    for (size_t i = 0; i < builder_.graph.outputs.size(); ++i) {
      const auto output = program.Output(i);
      outputs_.insert(outputs_.end(), output.begin(), output.end());
    }
    if (output_gradients_.empty()) {
      Random random(13);
      for (size_t i = 0; i < builder_.graph.outputs.size(); ++i) {
        auto& gradient =
            output_gradients_.emplace_back(m_ * program.OutputWidth(i));
        for (float& value : gradient) value = random.Symmetric();
      }
      for (const auto& gradient : output_gradients_) {
        pointers_.push_back(gradient.data());
      }
    }
    program.ClearGradients();
    program.Backward(pointers_);
  }

  void CheckAll() {
    const std::unique_ptr<TrainingProgram> program = Run();
    ReferenceGraph reference(builder_.graph, builder_.parameters);
    CheckOutputs(reference.Run(m_, input_.doubles));
    for (const auto& [name, gradient] : program->gradients()) {
      Doubles& parameter = reference.parameter(name);
      // All of a small tensor, a sample of a large one.
      const size_t stride = parameter.size() < 50 ? 1 : parameter.size() / 6;
      size_t not_zero = 0;
      for (size_t i = 0; i < parameter.size(); i += stride) {
        const double before = parameter[i];
        constexpr double kStep = 1e-5;
        parameter[i] = before + kStep;
        const double above = Loss(reference.Run(m_, input_.doubles));
        parameter[i] = before - kStep;
        const double below = Loss(reference.Run(m_, input_.doubles));
        parameter[i] = before;
        const double expected = (above - below) / (2 * kStep);
        // Rounding of the float computation: a few dozen steps of 2^-24 of
        // terms whose sum may be much smaller than they are.
        ASSERT_NEAR(gradient.values[i], expected,
                    2e-5 * (1.0 + std::abs(expected)))
            << name << "[" << i << "]";
        not_zero += std::abs(expected) > 1e-3;
      }
      EXPECT_GT(not_zero, 0u) << name << ": the check checks nothing";
    }
  }

 private:
  void CheckOutputs(const Doubles& expected) {
    ASSERT_EQ(outputs_.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_NEAR(outputs_[i], expected[i],
                  2e-5 * (1.0 + std::abs(expected[i])));
    }
  }

  double Loss(const Doubles& outputs) const {
    double loss = 0.0;
    size_t position = 0;
    for (const auto& gradient : output_gradients_) {
      for (const float weight : gradient) {
        loss += double{weight} * outputs[position++];
      }
    }
    return loss;
  }

  Builder builder_;
  size_t m_;
  Input input_;
  std::vector<std::vector<float>> output_gradients_;
  std::vector<const float*> pointers_;
  std::vector<float> outputs_;  // of the last run
};

Builder FloatInput(int64_t k) {
  Builder builder;
  builder.graph.inputs = {{"x", ValueType::kFloat32, {k}}};
  return builder;
}

Builder IdInput() {
  Builder builder;
  builder.graph.inputs = {{"ids", ValueType::kInt32, {}}};
  return builder;
}

TEST(TrainingProgramTest, LinearWithAndWithoutBias) {
  Builder builder = FloatInput(5);
  builder.Parameter("w1", {4, 5});
  builder.Parameter("b1", {4});
  builder.Parameter("w2", {3, 4});
  builder.Linear("x", "h", "w1", "b1");
  builder.Linear("h", "y", "w2");
  builder.graph.outputs = {"y"};
  GradientCheck(builder, 6).CheckAll();
}

class UnaryTrainingProgramTest : public ::testing::TestWithParam<OpType> {};

TEST_P(UnaryTrainingProgramTest, MatchesFiniteDifferences) {
  Builder builder = FloatInput(6);
  builder.Parameter("w1", {7, 6});
  builder.Parameter("b1", {7});
  builder.Parameter("w2", {3, 7});
  builder.Linear("x", "h", "w1", "b1");
  builder.Op(GetParam(), {"h"}, "a");
  builder.Linear("a", "y", "w2");
  builder.graph.outputs = {"y"};
  GradientCheck(builder, 9).CheckAll();
}

INSTANTIATE_TEST_SUITE_P(All, UnaryTrainingProgramTest,
                         ::testing::Values(OpType::kRelu, OpType::kGelu,
                                           OpType::kSilu, OpType::kSoftmax),
                         [](const auto& test) {
                           return std::string(Name(test.param));
                         });

class BinaryTrainingProgramTest : public ::testing::TestWithParam<OpType> {};

TEST_P(BinaryTrainingProgramTest, OfTwoBranches) {
  Builder builder = FloatInput(5);
  builder.Parameter("w1", {4, 5});
  builder.Parameter("w2", {4, 5});
  builder.Linear("x", "a", "w1");
  builder.Linear("x", "b", "w2");
  builder.Op(GetParam(), {"a", "b"}, "y");
  builder.graph.outputs = {"y"};
  GradientCheck(builder, 6).CheckAll();
}

TEST_P(BinaryTrainingProgramTest, OfAValueWithItselfAndWithAnInput) {
  Builder builder = FloatInput(4);
  builder.Parameter("w", {4, 4});
  builder.Linear("x", "a", "w");
  builder.Op(GetParam(), {"a", "a"}, "twice");
  builder.Op(GetParam(), {"twice", "x"}, "right");
  builder.Op(GetParam(), {"x", "right"}, "y");
  builder.graph.outputs = {"y"};
  GradientCheck(builder, 6).CheckAll();
}

INSTANTIATE_TEST_SUITE_P(All, BinaryTrainingProgramTest,
                         ::testing::Values(OpType::kAdd, OpType::kMul),
                         [](const auto& test) {
                           return std::string(Name(test.param));
                         });

// Nine tokens for five rows: some row is used twice.
TEST(TrainingProgramTest, Embedding) {
  Builder builder = IdInput();
  builder.Parameter("table", {5, 6});
  builder.Parameter("w", {3, 6});
  builder.graph.nodes.push_back(
      {OpType::kEmbedding, {"ids"}, "h", "table", ""});
  builder.Linear("h", "y", "w");
  builder.graph.outputs = {"y"};
  GradientCheck(builder, 9).CheckAll();
}

// A gated block between an embedding and a head that share their weight; "e" is
// used by three nodes, "up" by two layers, and two values are outputs.
TEST(TrainingProgramTest, SharedValuesAndWeights) {
  Builder builder = IdInput();
  builder.Parameter("table", {8, 6});
  builder.Parameter("gate", {6, 6});
  builder.Parameter("up", {6, 6});
  builder.Parameter("bias", {6});
  builder.graph.nodes.push_back(
      {OpType::kEmbedding, {"ids"}, "e", "table", ""});
  builder.Linear("e", "g", "gate", "bias");
  builder.Op(OpType::kSilu, {"g"}, "s");
  builder.Linear("e", "u", "up", "bias");
  builder.Op(OpType::kMul, {"s", "u"}, "m");
  builder.Linear("m", "d", "up");
  builder.Op(OpType::kAdd, {"e", "d"}, "r");
  builder.Linear("r", "logits", "table");
  builder.graph.outputs = {"logits", "r"};
  GradientCheck(builder, 12).CheckAll();
}

Builder LargeGraph() {
  Builder builder = FloatInput(30);
  builder.Parameter("w1", {600, 30});
  builder.Parameter("b1", {600});
  builder.Parameter("w2", {70, 600});
  builder.Parameter("w3", {600, 70});
  builder.Linear("x", "h", "w1", "b1");
  builder.Op(OpType::kGelu, {"h"}, "a");
  builder.Linear("a", "small", "w2");
  builder.Linear("small", "wide", "w3", "b1");
  builder.Op(OpType::kSoftmax, {"wide"}, "p");
  builder.Op(OpType::kMul, {"p", "wide"}, "y");
  builder.graph.outputs = {"y"};
  return builder;
}

// Sizes above what one task takes, so that every operator is split.
TEST(TrainingProgramTest, LargeShapes) {
  GradientCheck(LargeGraph(), 70).CheckAll();
}

TEST(TrainingProgramTest, SameBitsForAnyNumberOfThreads) {
  GradientCheck check(LargeGraph(), 70);
  const std::unique_ptr<TrainingProgram> expected = check.Run();
  for (const size_t threads : {2u, 3u, 5u}) {
    const std::unique_ptr<Executor> executor = StartThreadTeam(threads);
    const std::unique_ptr<TrainingProgram> actual = check.Run(executor.get());
    for (const auto& [name, gradient] : expected->gradients()) {
      EXPECT_EQ(actual->gradients().find(name)->second.values, gradient.values)
          << name << " with " << threads << " threads";
    }
  }
}

TEST(TrainingProgramTest, RepeatedStepsDoNotAllocateAndDoNotAddUp) {
  GradientCheck check(LargeGraph(), 70);
  const std::unique_ptr<TrainingProgram> program = check.Run();
  const std::vector<float> first =
      program->gradients().find("w2")->second.values;
  check.RunWith(*program);  // whose outputs are kept
  const size_t before = AllocationCount();
  check.RunWith(*program);
  EXPECT_EQ(AllocationCount(), before);
  EXPECT_EQ(program->gradients().find("w2")->second.values, first);
}

TEST(TrainingProgramTest, ParameterWithoutInfluenceHasNoGradient) {
  Builder builder = FloatInput(3);
  builder.Parameter("used", {2, 3});
  builder.Parameter("unused", {2, 3});
  builder.Linear("x", "y", "used");
  builder.Linear("x", "ignored", "unused");
  builder.graph.outputs = {"y"};
  const std::unique_ptr<TrainingProgram> program =
      GradientCheck(builder, 2).Run();
  EXPECT_THAT(program->gradients().find("unused")->second.values,
              ::testing::Each(0.0f));
}

TEST(TrainingProgramTest, RefusesGraphsThatDoNotFit) {
  const auto message = [](const Builder& builder) {
    return ErrorMessage(
        [&] { TrainingProgram(builder.graph, builder.parameters, {}); });
  };
  Builder builder = FloatInput(3);
  builder.Linear("x", "y", "w");
  builder.graph.outputs = {"y"};
  EXPECT_EQ(message(builder), "training: parameter 'w' is missing");
  builder.Parameter("w", {2, 4});
  EXPECT_EQ(message(builder),
            "training: graph: linear node 'y': input 'x' of shape [3] does not "
            "fit the weight 'w' of shape [2, 4]");
  Builder bias = FloatInput(3);
  bias.Parameter("w", {2, 3});
  bias.Parameter("b", {3});
  bias.Linear("x", "y", "w", "b");
  bias.graph.outputs = {"y"};
  EXPECT_EQ(message(bias),
            "training: tensor 'b': is F32 [3], but the bias of weight 'w' must "
            "be F32 [2]");
  Builder add = FloatInput(3);
  add.Parameter("w", {2, 3});
  add.Linear("x", "h", "w");
  add.Op(OpType::kAdd, {"h", "x"}, "y");
  add.graph.outputs = {"y"};
  EXPECT_EQ(message(add),
            "training: graph: add node 'y': inputs have different shapes, [2] "
            "and [3]");
  Builder order = FloatInput(3);
  order.Op(OpType::kRelu, {"later"}, "y");
  order.graph.outputs = {"y"};
  EXPECT_EQ(message(order),
            "training: graph: relu node 'y' uses the value 'later', which is "
            "not defined");
}

TEST(TrainingProgramTest, RefusesIdsOutOfRange) {
  Builder builder = IdInput();
  builder.Parameter("table", {4, 2});
  builder.graph.nodes.push_back(
      {OpType::kEmbedding, {"ids"}, "y", "table", ""});
  builder.graph.outputs = {"y"};
  TrainingProgram program(builder.graph, builder.parameters, {});
  for (const int32_t id : {-1, 4}) {
    const std::array<const void*, 1> inputs{&id};
    EXPECT_EQ(ErrorMessage([&] { program.Forward(1, inputs); }),
              "training: graph: embedding node 'y': id " + std::to_string(id) +
                  " of token 0 is outside 0..3");
  }
}

// Two halves of a batch, one after the other, give the gradient of the whole.
TEST(TrainingProgramTest, PartsOfABatchAddUp) {
  const Builder builder = LargeGraph();
  constexpr size_t kRows = 12;
  const Input input(builder.graph, builder.parameters, kRows);
  TrainingProgram program(builder.graph, builder.parameters, {});
  Random random(3);
  std::vector<float> dy(kRows * program.OutputWidth(0));
  for (float& value : dy) value = random.Symmetric();
  const auto run = [&](size_t first, size_t rows, bool accumulate) {
    const std::array<const void*, 1> inputs{input.floats.data() + first * 30};
    program.Forward(rows, inputs);
    const std::array<const float*, 1> gradients{dy.data() +
                                                first * program.OutputWidth(0)};
    if (!accumulate) program.ClearGradients();
    program.Backward(gradients);
  };
  run(0, kRows, false);
  const std::vector<float> whole =
      program.gradients().find("w2")->second.values;
  run(0, 5, false);
  EXPECT_NE(program.gradients().find("w2")->second.values, whole);
  run(5, kRows - 5, true);
  const std::vector<float>& parts =
      program.gradients().find("w2")->second.values;
  for (size_t i = 0; i < whole.size(); ++i) {
    ASSERT_NEAR(parts[i], whole[i], 1e-6f + 1e-5f * std::abs(whole[i])) << i;
  }
}

TEST(TrainingProgramTest, FrozenParametersHaveNoGradientAndOthersTheSame) {
  GradientCheck check(LargeGraph(), 6);
  const std::unique_ptr<TrainingProgram> all = check.Run();
  Builder builder = LargeGraph();
  TrainingProgramOptions options;
  options.frozen = {"w1", "b1"};
  TrainingProgram program(builder.graph, builder.parameters, options);
  check.RunWith(program);
  EXPECT_EQ(program.gradients().count("w1"), 0u);
  EXPECT_EQ(program.gradients().count("b1"), 0u);
  EXPECT_EQ(program.gradients().find("w2")->second.values,
            all->gradients().find("w2")->second.values);
  // What only the frozen ones need is not kept.
  EXPECT_LT(program.ArenaBytes(), all->ArenaBytes());
}

// Memory is reused: a chain of functions keeps what their gradients need, and
// two gradients at a time.
TEST(TrainingProgramTest, HoldsWhatIsNeededAndNoMore) {
  Builder builder = FloatInput(64);
  builder.Parameter("w", {64, 64});
  builder.Linear("x", "h0", "w");
  constexpr size_t kDepth = 20;
  for (size_t i = 0; i < kDepth; ++i) {
    builder.Op(OpType::kRelu, {"h" + std::to_string(i)},
               "h" + std::to_string(i + 1));
  }
  builder.graph.outputs = {"h" + std::to_string(kDepth)};
  TrainingProgram program(builder.graph, builder.parameters, {});
  program.Reserve(1, 100);
  // x and what each relu gives, two gradients, and some scratch.
  EXPECT_LE(program.ArenaBytes(),
            (1 + kDepth + 2) * 100 * 64 * sizeof(float) + 64000);
  EXPECT_GE(program.ArenaBytes(), (1 + kDepth) * 100 * 64 * sizeof(float));
}

}  // namespace
}  // namespace lutra::qat
