#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "lutra/kernels/cache_type.h"
#include "lutra/runtime/operator.h"
#include "lutra/runtime/program.h"
#include "tests/kernels/random_matrix.h"
#include "tests/runtime/model_builder.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

// Operators of an app: registered once, then used by model files.

namespace lutra {
namespace {

using ::testing::HasSubstr;

// y = factor * (y of the token before) + weight * x.
class Decay : public Operator {
 public:
  Decay()
      : Operator({.name = "test.decay",
                  .weight = TensorUse::kRequired,
                  .context = RowContext::kState,
                  .attributes = {{.name = "factor",
                                  .kind = AttributeKind::kNumber,
                                  .low = 0,
                                  .high = 1}}}) {}

  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      Span<const ValueInfo* const> inputs) const override {
    if (model.file().Get(node.weight).shape != inputs[0]->shape) {
      throw NodeError(model, node, "the weight has another shape");
    }
    return inputs[0]->shape;
  }
  size_t StateBytes(const Model& model, const Node& node) const override {
    return model.file().Get(node.weight).data.size();
  }
  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution&,
                             const Binding& binding) const override {
    return std::make_unique<DecayStep>(model, node, binding);
  }

 private:
  class DecayStep : public Step {
   public:
    DecayStep(const Model& model, const Node& node, const Binding& binding)
        : weight_(model.file().Get(node.weight).Floats(model.path())),
          factor_(static_cast<float>(NumberAttribute(node, "factor"))),
          binding_(binding) {}

    void Run(size_t, const Call& call) override {
      const auto* x = static_cast<const float*>(binding_.inputs[0]);
      const size_t size = weight_.size();
      for (const SequenceRows& rows : call.sequences) {
        auto* state =
            reinterpret_cast<float*>(rows.new_state + binding_.state_offset);
        if (rows.position > 0) {
          std::memcpy(state, rows.old_state + binding_.state_offset,
                      size * sizeof(float));
        } else {
          std::fill(state, state + size, 0.0f);
        }
        for (size_t row = rows.first; row < rows.first + rows.count; ++row) {
          for (size_t i = 0; i < size; ++i) {
            state[i] = factor_ * state[i] + weight_[i] * x[row * size + i];
            binding_.output[row * size + i] = state[i];
          }
        }
      }
    }

   private:
    std::span<const float> weight_;
    float factor_;
    Binding binding_;
  };
};

// y = 2 * x
class Twice : public Operator {
 public:
  explicit Twice(std::string name) : Operator({.name = std::move(name)}) {}
  std::vector<int64_t> InferShape(
      const Model&, const Node&,
      Span<const ValueInfo* const> inputs) const override {
    return inputs[0]->shape;
  }
  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution&,
                             const Binding& binding) const override {
    return std::make_unique<TwiceStep>(model.value(node.output).ElementCount(),
                                       binding);
  }

 private:
  class TwiceStep : public Step {
   public:
    TwiceStep(size_t size, const Binding& binding)
        : size_(size), binding_(binding) {}
    void Run(size_t m, const Call&) override {
      const auto* x = static_cast<const float*>(binding_.inputs[0]);
      for (size_t i = 0; i < m * size_; ++i) binding_.output[i] = 2 * x[i];
    }
    StepCost Cost(size_t m, const Call&) const override {
      return {.bytes = 0, .multiply_adds = m * size_};
    }

   private:
    size_t size_;
    Binding binding_;
  };
};

// Registers them once: other tests of this program may have done it.
OpType DecayType() {
  static const OpType type = RegisterOperator(std::make_unique<Decay>());
  return type;
}
OpType TwiceType() {
  static const OpType type =
      RegisterOperator(std::make_unique<Twice>("test.twice"));
  return type;
}

class AppOperatorTest : public ::testing::Test {
 protected:
  std::shared_ptr<const Model> Load(const ModelBuilder& builder) {
    const auto path = dir_.path() / "model.safetensors";
    builder.Write(path);
    return Model::Load(path);
  }

  // x -> decay -> packed linear -> twice
  ModelBuilder Network(double factor) {
    std::mt19937 rng(1);
    const auto packed = kernels::MakeRandomMatrix(
        {.n = 3, .k = 32, .bits = 2, .group_size = 32},
        kernels::TableKind::kSmall, rng);
    ModelBuilder builder;
    builder.Input("x", {32})
        .Add(DecayType(), {"x"}, "d", "w")
        .Set("factor", factor)
        .Add(OpType::kLinear, {"d"}, "l", "packed")
        .Add(TwiceType(), {"l"}, "y")
        .Output("d")
        .Output("l")
        .Output("y")
        .Floats("w", {32}, RandomFloats(32, 2))
        .Packed("packed", {packed.blob.get(), packed.blob_bytes});
    return builder;
  }

  TempDir dir_;
};

struct Results {
  std::vector<float> d, l, y;
};

Results RunRows(Program& program, Sequence& sequence, const float* x,
                size_t rows) {
  Results r{std::vector<float>(rows * 32), std::vector<float>(rows * 3),
            std::vector<float>(rows * 3)};
  const void* inputs[] = {x};
  float* outputs[] = {r.d.data(), r.l.data(), r.y.data()};
  const Program::Rows call[] = {{&sequence, rows}};
  program.Run(call, inputs, outputs);
  return r;
}

TEST_F(AppOperatorTest, ModelFilesUseIt) {
  Program program(Load(Network(0.5)), {});
  Sequence sequence = program.NewSequence();
  const std::vector<float> x = RandomFloats(5 * 32, 3);
  const std::vector<float> w = RandomFloats(32, 2);
  const Results r = RunRows(program, sequence, x.data(), 5);
  std::vector<float> state(32, 0.0f);
  for (size_t row = 0; row < 5; ++row) {
    for (size_t i = 0; i < 32; ++i) {
      state[i] = 0.5f * state[i] + w[i] * x[row * 32 + i];
      EXPECT_EQ(r.d[row * 32 + i], state[i]);
    }
  }
  for (size_t i = 0; i < r.y.size(); ++i) EXPECT_EQ(r.y[i], 2 * r.l[i]);
}

TEST_F(AppOperatorTest, SequencesKeepItsMemory) {
  Program program(Load(Network(0.75)), {});
  const std::vector<float> x = RandomFloats(6 * 32, 4);
  Sequence whole = program.NewSequence();
  const Results expected = RunRows(program, whole, x.data(), 6);

  Sequence first = program.NewSequence();
  RunRows(program, first, x.data(), 4);
  Sequence fork = first.Fork();
  Sequence restored = program.Restore(first.Save());
  for (Sequence* sequence : {&first, &fork, &restored}) {
    const Results rest = RunRows(program, *sequence, x.data() + 4 * 32, 2);
    EXPECT_EQ(rest.y,
              std::vector<float>(expected.y.begin() + 4 * 3, expected.y.end()));
  }
}

TEST_F(AppOperatorTest, ProfilesCountItsCost) {
  Program program(Load(Network(0.5)), {});
  program.EnableProfiling(true);
  Sequence sequence = program.NewSequence();
  RunRows(program, sequence, RandomFloats(2 * 32, 3).data(), 2);
  const NodeProfile profile = program.Profile()[2];
  EXPECT_EQ(profile.op, TwiceType());
  EXPECT_EQ(profile.calls, 1u);
  EXPECT_EQ(profile.multiply_adds, 6u);
}

TEST_F(AppOperatorTest, ItsSchemaIsChecked) {
  EXPECT_THAT(ErrorMessage([&] { Load(Network(1.5)); }),
              HasSubstr("test.decay node 'd': attribute 'factor' must be a "
                        "number from 0 to 1"));
  ModelBuilder other = Network(0.5);
  other.Floats("w", {31}, RandomFloats(31, 2));
  EXPECT_THAT(ErrorMessage([&] { Load(other); }),
              HasSubstr("test.decay node 'd': the weight has another shape"));
}

TEST_F(AppOperatorTest, WithoutItTheFileIsRefused) {
  ModelBuilder builder = Network(0.5);
  builder.Metadata(kGraphKey, R"({
      "inputs":[{"name":"x","type":"float32","shape":[32]}],
      "nodes":[{"op":"test.thrice","inputs":["x"],"output":"y"}],
      "outputs":["y"]})");
  EXPECT_THAT(ErrorMessage([&] { Load(builder); }),
              HasSubstr("node 'y' has the unknown operator 'test.thrice'"));
}

TEST_F(AppOperatorTest, NamesAreItsOwn) {
  DecayType();
  for (const char* name : {"", "relu", "twice", ".twice", "test.", "a.b.c",
                           "test.tw ice", "test.twi\"ce", "test..x"}) {
    EXPECT_THAT(
        ErrorMessage([&] { RegisterOperator(std::make_unique<Twice>(name)); }),
        HasSubstr("the name of an app's operator is two words"))
        << name;
  }
  EXPECT_THAT(
      ErrorMessage([&] { RegisterOperator(std::make_unique<Decay>()); }),
      HasSubstr("operator 'test.decay' is registered already"));
  EXPECT_THAT(ErrorMessage([] { RegisterOperator(nullptr); }),
              HasSubstr("no operator given"));
  EXPECT_THAT(ErrorMessage([] { Name(static_cast<OpType>(1000)); }),
              HasSubstr("no operator number 1000"));
}

TEST_F(AppOperatorTest, IsListedAfterThoseOfLutra) {
  const OpType decay = DecayType();
  const std::vector<OpType> all = AllOperators();
  EXPECT_EQ(all.front(), OpType::kLinear);
  EXPECT_EQ(std::count(all.begin(), all.end(), decay), 1);
  EXPECT_GT(decay, OpType::kLstmCell);
  EXPECT_EQ(FindOperator("test.decay"), decay);
  EXPECT_EQ(FindOperator("test.unknown"), std::nullopt);
}

}  // namespace
}  // namespace lutra
