// Recurrent layers of ONNX: steps of a sequence are rows of a call.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/packer/onnx_importer.h"

namespace lutra::packer {
namespace {

using ::testing::HasSubstr;

constexpr size_t kSteps = 6;
constexpr size_t kInputs = 2;
constexpr size_t kUnits = 3;
constexpr size_t kGateRows = 3 * kUnits;

std::vector<float> Falling(size_t count, float step) {
  std::vector<float> values;
  for (size_t i = 0; i < count; ++i) {
    values.push_back(std::sin(step * static_cast<float>(i + 1)));
  }
  return values;
}

float Sigmoid(float x) { return 1 / (1 + std::exp(-x)); }

// As https://onnx.ai/onnx/operators/onnx__GRU.html has it, gates z, r, h.
std::vector<float> Expected(const std::vector<float>& x,
                            const std::vector<float>& w,
                            const std::vector<float>& r,
                            const std::vector<float>& b, bool after) {
  std::vector<float> h(kUnits, 0.0f);
  std::vector<float> all;
  for (size_t t = 0; t < kSteps; ++t) {
    const auto input = [&](size_t row) {
      float sum = b[row];
      for (size_t k = 0; k < kInputs; ++k) {
        sum += w[row * kInputs + k] * x[t * kInputs + k];
      }
      return sum;
    };
    const auto state = [&](size_t row, const std::vector<float>& of) {
      float sum = 0;
      for (size_t k = 0; k < kUnits; ++k) sum += r[row * kUnits + k] * of[k];
      return sum;
    };
    std::vector<float> reset(kUnits);
    std::vector<float> reset_h(kUnits);
    for (size_t i = 0; i < kUnits; ++i) {
      const size_t row = kUnits + i;
      reset[i] = Sigmoid(input(row) + state(row, h) + b[kGateRows + row]);
      reset_h[i] = reset[i] * h[i];
    }
    std::vector<float> next(kUnits);
    for (size_t i = 0; i < kUnits; ++i) {
      const size_t row = 2 * kUnits + i;
      const float z = Sigmoid(input(i) + state(i, h) + b[kGateRows + i]);
      const float own = b[kGateRows + row];
      const float kept =
          after ? reset[i] * (state(row, h) + own) : state(row, reset_h) + own;
      next[i] = (1 - z) * std::tanh(input(row) + kept) + z * h[i];
    }
    h = next;
    all.insert(all.end(), h.begin(), h.end());
  }
  return all;
}

OnnxWriter RecurrentGraph(const std::vector<float>& w,
                          const std::vector<float>& r,
                          const std::vector<float>& b, int64_t after) {
  OnnxWriter writer({kSteps, 1, kInputs});
  writer
      .Add({"GRU",
            {"x", "w", "r", "b"},
            "steps",
            {},
            {{"hidden_size", kUnits}, {"linear_before_reset", after}}})
      .Add({"Squeeze", {"steps", "1"}})
      .Floats("w", {1, kGateRows, kInputs}, w)
      .Floats("r", {1, kGateRows, kUnits}, r)
      .Floats("b", {1, 2 * kGateRows}, b)
      .Integers("1", {1}, {1});
  return writer;
}

TEST_F(OnnxImportTest, GruWithEitherReset) {
  const auto x = Falling(kSteps * kInputs, 0.7f);
  const auto w = Falling(kGateRows * kInputs, 1.3f);
  const auto r = Falling(kGateRows * kUnits, 2.1f);
  const auto b = Falling(2 * kGateRows, 0.9f);
  for (const int64_t after : {0, 1}) {
    const std::vector<float> y = Run(RecurrentGraph(w, r, b, after), x);
    const auto expected = Expected(x, w, r, b, after != 0);
    ASSERT_EQ(y.size(), expected.size());
    for (size_t i = 0; i < y.size(); ++i) {
      EXPECT_NEAR(y[i], expected[i], 1e-5) << after << ", element " << i;
    }
    EXPECT_EQ(CountOf(OpType::kGruCell), 1u);
  }
}

std::vector<float> Twice(const std::vector<float>& a,
                         const std::vector<float>& b) {
  std::vector<float> both = a;
  both.insert(both.end(), b.begin(), b.end());
  return both;
}

// Steps in the other order.
std::vector<float> Reversed(const std::vector<float>& x) {
  const size_t width = x.size() / kSteps;
  std::vector<float> y;
  for (size_t t = kSteps; t-- > 0;) {
    const auto from = x.begin() + static_cast<std::ptrdiff_t>(t * width);
    y.insert(y.end(), from, from + static_cast<std::ptrdiff_t>(width));
  }
  return y;
}

TEST_F(OnnxImportTest, GruInBothDirections) {
  const auto x = Falling(kSteps * kInputs, 0.7f);
  const std::vector<float> w[] = {Falling(kGateRows * kInputs, 1.3f),
                                  Falling(kGateRows * kInputs, 1.7f)};
  const std::vector<float> r[] = {Falling(kGateRows * kUnits, 2.1f),
                                  Falling(kGateRows * kUnits, 0.3f)};
  const std::vector<float> b[] = {Falling(2 * kGateRows, 0.9f),
                                  Falling(2 * kGateRows, 1.1f)};
  OnnxWriter writer({kSteps, 1, kInputs});
  writer
      .Add({.op = "GRU",
            .inputs = {"x", "w", "r", "b"},
            .output = "steps",
            .numbers = {{"hidden_size", kUnits}},
            .texts = {{"direction", "bidirectional"}}})
      .Add({"Transpose", {"steps"}, "t", {{"perm", {0, 2, 1, 3}}}})
      .Add({"Reshape", {"t", "shape"}})
      .Floats("w", {2, kGateRows, kInputs}, Twice(w[0], w[1]))
      .Floats("r", {2, kGateRows, kUnits}, Twice(r[0], r[1]))
      .Floats("b", {2, 2 * kGateRows}, Twice(b[0], b[1]))
      .Integers("shape", {3}, {0, 0, -1});
  const std::vector<float> y = Run(writer, x);
  const auto forward = Expected(x, w[0], r[0], b[0], false);
  const auto backward =
      Reversed(Expected(Reversed(x), w[1], r[1], b[1], false));
  ASSERT_EQ(y.size(), 2 * kSteps * kUnits);
  for (size_t t = 0; t < kSteps; ++t) {
    for (size_t i = 0; i < kUnits; ++i) {
      const float* const step = y.data() + t * 2 * kUnits;
      EXPECT_NEAR(step[i], forward[t * kUnits + i], 1e-5);
      EXPECT_NEAR(step[kUnits + i], backward[t * kUnits + i], 1e-5);
    }
  }
}

TEST_F(OnnxImportTest, LstmThatGoesBackward) {
  constexpr size_t kAll = 4 * kUnits;
  const auto graph = [&](const char* direction) {
    OnnxWriter writer({kSteps, 1, kInputs});
    writer
        .Add({.op = "LSTM",
              .inputs = {"x", "w", "r"},
              .output = "steps",
              .numbers = {{"hidden_size", kUnits}},
              .texts = {{"direction", direction}}})
        .Add({"Squeeze", {"steps", "1"}})
        .Floats("w", {1, kAll, kInputs}, Falling(kAll * kInputs, 1.3f))
        .Floats("r", {1, kAll, kUnits}, Falling(kAll * kUnits, 2.1f))
        .Integers("1", {1}, {1});
    return writer;
  };
  const auto x = Falling(kSteps * kInputs, 0.7f);
  EXPECT_EQ(Run(graph("reverse"), x),
            Reversed(Run(graph("forward"), Reversed(x))));
  EXPECT_NE(Run(graph("reverse"), x), Run(graph("forward"), x));
}

// Of a layer that goes backward, the last state is that of the first step.
TEST_F(OnnxImportTest, TheLastStateOfALayerThatGoesBackwardIsRefused) {
  OnnxWriter writer({kSteps, 1, kInputs});
  writer
      .Add({.op = "GRU",
            .inputs = {"x", "w", "r"},
            .output = "steps",
            .numbers = {{"hidden_size", kUnits}},
            .more_outputs = {"y"},
            .texts = {{"direction", "reverse"}}})
      .Floats("w", {1, kGateRows, kInputs}, Falling(kGateRows * kInputs, 1))
      .Floats("r", {1, kGateRows, kUnits}, Falling(kGateRows * kUnits, 1));
  EXPECT_THAT(Refusal(writer),
              HasSubstr("GRU: the last state of a layer that goes backward"));
}

TEST_F(OnnxImportTest, GruOfAnotherKindIsRefused) {
  const auto refusal = [&](const std::string& attribute, int64_t value,
                           const std::vector<int64_t>& shape) {
    OnnxWriter writer({kSteps, 1, kInputs});
    writer.Add({"GRU", {"x", "w", "r"}, "y", {}, {{attribute, value}}})
        .Floats("w", shape, Falling(kGateRows * kInputs, 1))
        .Floats("r", {1, kGateRows, kUnits}, Falling(kGateRows * kUnits, 1));
    return Refusal(writer);
  };
  EXPECT_THAT(refusal("hidden_size", 0, {1, kGateRows, kInputs}),
              HasSubstr("has a hidden size of 0"));
  EXPECT_THAT(refusal("hidden_size", 4, {1, kGateRows, kInputs}),
              HasSubstr("weights of another size than its hidden size"));
  EXPECT_THAT(refusal("hidden_size", kUnits, {kGateRows, kInputs}),
              HasSubstr("weights of another shape"));
}

}  // namespace
}  // namespace lutra::packer
