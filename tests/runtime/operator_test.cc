// Every operator, run by a session, against plain mathematics.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <numbers>
#include <random>
#include <string>
#include <tuple>

#include "lutra/kernels/gemm.h"
#include "lutra/kernels/thread_team.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/session.h"
#include "tests/kernels/random_matrix.h"
#include "tests/runtime/model_builder.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

using kernels::ActivationType;

constexpr float kEpsilon = std::numeric_limits<float>::epsilon();

// Tokens and threads.
class OperatorTest
    : public ::testing::TestWithParam<std::tuple<size_t, size_t>> {
 protected:
  size_t m() const { return std::get<0>(GetParam()); }
  size_t threads() const { return std::get<1>(GetParam()); }

  // The only output.
  std::vector<float> Run(
      const ModelBuilder& builder, const std::vector<const void*>& inputs,
      ActivationType activations = ActivationType::kInt8Asymmetric) {
    return RunAll(builder, inputs, activations)[0];
  }
  // All outputs.
  std::vector<std::vector<float>> RunAll(const ModelBuilder& builder,
                                         const std::vector<const void*>& inputs,
                                         ActivationChoice activations) {
    builder.Write(path_);
    const auto model = Model::Load(path_);
    const auto executor = StartThreadTeam(threads());
    Session session(
        model,
        {.activations = activations, .executor = executor.get(), .threads = 1});
    EXPECT_EQ(session.threads(), threads());
    std::vector<std::vector<float>> results;
    std::vector<float*> outputs;
    for (const ValueInfo& output : model->outputs()) {
      results.emplace_back(m() * output.ElementCount(), -1.0f);
      outputs.push_back(results.back().data());
    }
    session.Run(m(), inputs, outputs);
    return results;
  }

  // Shapes with more than one dimension, and more elements than one piece of
  // work for large m.
  static constexpr int64_t kRows = 7;
  static constexpr int64_t kColumns = 301;
  size_t Elements() const { return m() * kRows * kColumns; }

  void CheckUnary(OpType op, const std::function<double(double)>& expected,
                  double tolerance) {
    std::vector<float> x = RandomFloats(Elements(), 1, 4.0f);
    x[0] = 0.0f;
    x[1] = -100.0f;
    x[2] = 100.0f;
    ModelBuilder builder;
    builder.Input("x", {kRows, kColumns}).Add(op, {"x"}, "y").Output("y");
    const auto y = Run(builder, {x.data()});
    for (size_t i = 0; i < x.size(); ++i) {
      const double e = expected(double{x[i]});
      // Below the normal numbers there is no relative precision.
      ASSERT_NEAR(y[i], e, 1e-37 + tolerance * std::abs(e)) << "x = " << x[i];
    }
  }

  void CheckBinary(OpType op,
                   const std::function<float(float, float)>& expected) {
    const auto a = RandomFloats(Elements(), 1);
    const auto b = RandomFloats(Elements(), 2);
    ModelBuilder builder;
    builder.Input("a", {kRows, kColumns})
        .Input("b", {kRows, kColumns})
        .Add(op, {"a", "b"}, "y")
        .Output("y");
    const auto y = Run(builder, {a.data(), b.data()});
    for (size_t i = 0; i < a.size(); ++i) {
      ASSERT_EQ(y[i], expected(a[i], b[i]));
    }
  }

  TempDir dir_;
  const std::filesystem::path path_ = dir_ / "m.safetensors";
};

TEST_P(OperatorTest, Relu) {
  CheckUnary(
      OpType::kRelu, [](double x) { return std::max(x, 0.0); }, 0);
}

TEST_P(OperatorTest, Gelu) {
  // The square of x is rounded; far out in the negative tail the relative error
  // grows with it.
  CheckUnary(
      OpType::kGelu,
      [](double x) { return 0.5 * x * std::erfc(-x / std::sqrt(2.0)); },
      400 * double{kEpsilon});
}

TEST_P(OperatorTest, GeluTanh) {
  CheckUnary(
      OpType::kGeluTanh,
      [](double x) {
        const double u =
            std::sqrt(2.0 / std::numbers::pi) * (x + 0.044715 * x * x * x);
        return x / (1.0 + std::exp(-2.0 * u));
      },
      400 * double{kEpsilon});
}

TEST_P(OperatorTest, Relu2) {
  CheckUnary(
      OpType::kRelu2, [](double x) { return x > 0 ? x * x : 0.0; },
      2 * double{kEpsilon});
}

TEST_P(OperatorTest, Silu) {
  CheckUnary(
      OpType::kSilu, [](double x) { return x / (1 + std::exp(-x)); },
      4 * double{kEpsilon});
}

TEST_P(OperatorTest, Sigmoid) {
  CheckUnary(
      OpType::kSigmoid, [](double x) { return 1 / (1 + std::exp(-x)); },
      4 * double{kEpsilon});
}

TEST_P(OperatorTest, Tanh) {
  CheckUnary(
      OpType::kTanh, [](double x) { return std::tanh(x); },
      4 * double{kEpsilon});
}

TEST_P(OperatorTest, ReluKeepsNaN) {
  std::vector<float> x(m(), std::numeric_limits<float>::quiet_NaN());
  ModelBuilder builder;
  builder.Input("x", {}).Add(OpType::kRelu, {"x"}, "y").Output("y");
  EXPECT_TRUE(std::isnan(Run(builder, {x.data()})[0]));
}

TEST_P(OperatorTest, Add) {
  CheckBinary(OpType::kAdd, [](float a, float b) { return a + b; });
}

TEST_P(OperatorTest, Mul) {
  CheckBinary(OpType::kMul, [](float a, float b) { return a * b; });
}

TEST_P(OperatorTest, Softmax) {
  auto x = RandomFloats(Elements(), 1, 5.0f);
  x[1] = 1000.0f;  // overflows without the subtraction of the maximum
  ModelBuilder builder;
  builder.Input("x", {kRows, kColumns})
      .Add(OpType::kSoftmax, {"x"}, "y")
      .Output("y");
  const auto y = Run(builder, {x.data()});
  for (size_t begin = 0; begin < x.size(); begin += kColumns) {
    double largest = double{x[begin]};
    double sum = 0;
    for (size_t i = begin; i < begin + kColumns; ++i) {
      largest = std::max(largest, double{x[i]});
    }
    for (size_t i = begin; i < begin + kColumns; ++i) {
      sum += std::exp(double{x[i]} - largest);
    }
    for (size_t i = begin; i < begin + kColumns; ++i) {
      const double expected = std::exp(double{x[i]} - largest) / sum;
      ASSERT_NEAR(y[i], expected,
                  1e-37 + kColumns * double{kEpsilon} * expected);
    }
  }
}

TEST_P(OperatorTest, FloatLinear) {
  for (const bool with_bias : {false, true}) {
    for (const auto& [n, k] : {std::pair<size_t, size_t>{1, 1},
                               {10, 37},
                               {96, 128},
                               {3, 257},
                               {129, 4}}) {
      const auto x = RandomFloats(m() * k, 1);
      const auto w = RandomFloats(n * k, 2);
      const auto bias = RandomFloats(n, 3);
      ModelBuilder builder;
      builder.Input("x", {static_cast<int64_t>(k)})
          .Add(OpType::kLinear, {"x"}, "y", "w", with_bias ? "b" : "")
          .Output("y")
          .Floats("w", {static_cast<int64_t>(n), static_cast<int64_t>(k)}, w)
          .Floats("b", {static_cast<int64_t>(n)}, bias);
      const auto y = Run(builder, {x.data()});
      for (size_t t = 0; t < m(); ++t) {
        for (size_t row = 0; row < n; ++row) {
          double sum = with_bias ? double{bias[row]} : 0.0;
          double magnitude = std::abs(sum);
          for (size_t i = 0; i < k; ++i) {
            const double product =
                double{x[t * k + i]} * double{w[row * k + i]};
            sum += product;
            magnitude += std::abs(product);
          }
          ASSERT_NEAR(y[t * n + row], sum,
                      static_cast<double>(k + 2) * double{kEpsilon} * magnitude)
              << "n " << n << " k " << k << " bias " << with_bias;
        }
      }
    }
  }
}

// A packed linear node is the kernel and nothing else.
TEST_P(OperatorTest, PackedLinear) {
  std::mt19937 rng(5);
  for (const auto activations :
       {ActivationType::kInt8Asymmetric, ActivationType::kInt8Symmetric,
        ActivationType::kFloat32}) {
    for (const bool with_bias : {false, true}) {
      const float range = with_bias ? 0.75f : 0;  // 0: each row its own
      for (const auto& [n, k] :
           {std::pair<uint32_t, uint32_t>{1, 1}, {24, 32}, {50, 200}}) {
        const auto packed = kernels::MakeRandomMatrix(
            {.n = n, .k = k, .bits = 2, .group_size = k < 48 ? k : 48},
            kernels::TableKind::kSmall, rng);
        const auto x = RandomFloats(m() * k, 1);
        const auto bias = RandomFloats(n, 3);
        ModelBuilder builder;
        builder.Input("x", {k})
            .Add(OpType::kLinear, {"x"}, "y", "w", with_bias ? "b" : "")
            .Set("input_min", -range)
            .Set("input_max", 2.0 * range)
            .Output("y")
            .Packed("w", {packed.blob.get(), packed.blob_bytes})
            .Floats("b", {n}, bias);
        const auto y = Run(builder, {x.data()}, activations);

        std::vector<float> expected(m() * n);
        kernels::ReferenceGemm(packed.matrix, activations,
                               {.x = x.data(),
                                .x_stride = k,
                                .m = m(),
                                .bias = with_bias ? bias.data() : nullptr,
                                .y = expected.data(),
                                .y_stride = n,
                                .range_min = -range,
                                .range_max = 2 * range});
        if (activations != ActivationType::kFloat32) {
          ASSERT_EQ(y, expected) << "n " << n << " k " << k;
          continue;
        }
        std::vector<float> w(k);
        for (size_t i = 0; i < y.size(); ++i) {
          kernels::DequantizeRow(packed.matrix, static_cast<uint32_t>(i % n),
                                 w.data());
          double magnitude = with_bias ? std::abs(double{bias[i % n]}) : 0.0;
          for (size_t c = 0; c < k; ++c) {
            magnitude += std::abs(double{x[i / n * k + c]} * double{w[c]});
          }
          ASSERT_NEAR(y[i], expected[i],
                      (k + 2.0) * double{kEpsilon} * magnitude);
        }
      }
    }
  }
}

// Attributes about the input that do not fit each other.
TEST(InputQuantizationTest, MistakesAreRefusedWhenLoading) {
  const TempDir dir;
  const auto load = [&](const char* type, double group) {
    ModelBuilder builder;
    builder.Input("x", {32})
        .Add(OpType::kLinear, {"x"}, "y", "w")
        .Set("input_type", type)
        .Set("input_group", group)
        .Output("y")
        .Floats("w", {4, 32}, RandomFloats(4 * 32, 1))
        .Write(dir / "m");
    return Model::Load(dir / "m");
  };
  const auto failure = [&](const char* type, double group) {
    return ErrorMessage([&] { load(type, group); });
  };
  EXPECT_NE(load("int8-per-group", 16), nullptr);
  EXPECT_THAT(failure("int8-per-group", 0),
              ::testing::HasSubstr("linear node 'y': input_type "
                                   "'int8-per-group' needs input_group"));
  EXPECT_THAT(failure("int8", 16), ::testing::HasSubstr("input_group is for"));
  EXPECT_THAT(failure("bfloat16", 0), ::testing::HasSubstr("must be one of"));
}

// Nodes that share their input are computed together where they can be; what
// each of them takes does not depend on it.
TEST_P(OperatorTest, PackedInputsWithoutAWord) {
  constexpr uint32_t kN = 20;
  constexpr uint32_t kK = 96;
  struct Case {
    uint32_t group_size;
    float range;       // 0: none
    const char* type;  // "": none
    ActivationType expected;
  };
  const Case cases[] = {
      {32, 0, "", ActivationType::kInt8PerGroup},
      {kK, 0, "", ActivationType::kInt8Asymmetric},
      {16, 0, "", ActivationType::kInt8PerGroup},
      {16, 0.75f, "", ActivationType::kInt8Asymmetric},
      {16, 0, "int8-symmetric", ActivationType::kInt8Symmetric}};
  std::mt19937 rng(5);
  const auto x = RandomFloats(m() * kK, 1);
  ModelBuilder builder;
  builder.Input("x", {kK});
  std::vector<kernels::RandomMatrix> weights;
  for (const Case& c : cases) {
    weights.push_back(kernels::MakeRandomMatrix(
        {.n = kN, .k = kK, .bits = 2, .group_size = c.group_size},
        kernels::TableKind::kSmall, rng));
  }
  for (size_t i = 0; i < std::size(cases); ++i) {
    const std::string number = std::to_string(i);
    builder.Add(OpType::kLinear, {"x"}, "y" + number, "w" + number)
        .Set("input_min", -cases[i].range)
        .Set("input_max", cases[i].range)
        .Output("y" + number)
        .Packed("w" + number, {weights[i].blob.get(), weights[i].blob_bytes});
    if (*cases[i].type != '\0') builder.Set("input_type", cases[i].type);
  }
  const auto outputs = RunAll(builder, {x.data()}, std::nullopt);
  for (size_t i = 0; i < std::size(cases); ++i) {
    std::vector<float> expected(m() * kN);
    kernels::ReferenceGemm(weights[i].matrix, cases[i].expected,
                           {.x = x.data(),
                            .x_stride = kK,
                            .m = m(),
                            .y = expected.data(),
                            .y_stride = kN,
                            .range_min = -cases[i].range,
                            .range_max = cases[i].range});
    EXPECT_EQ(outputs[i], expected) << i;
  }
}

TEST_P(OperatorTest, FloatEmbedding) {
  constexpr int32_t kN = 13;
  constexpr int32_t kK = 5;
  std::vector<int32_t> ids(m());
  for (size_t i = 0; i < m(); ++i) ids[i] = static_cast<int32_t>(i * 7) % kN;
  const auto w = RandomFloats(kN * kK, 1);
  ModelBuilder builder;
  builder.Input("ids", {}, ValueType::kInt32)
      .Add(OpType::kEmbedding, {"ids"}, "y", "w")
      .Output("y")
      .Floats("w", {kN, kK}, w);
  const auto y = Run(builder, {ids.data()});
  for (size_t i = 0; i < y.size(); ++i) {
    ASSERT_EQ(y[i], w[static_cast<size_t>(ids[i / kK]) * kK + i % kK]);
  }
}

TEST_P(OperatorTest, PackedEmbedding) {
  std::mt19937 rng(6);
  constexpr uint32_t kN = 40;
  constexpr uint32_t kK = 50;
  const auto packed =
      kernels::MakeRandomMatrix({.n = kN, .k = kK, .bits = 4, .group_size = 16},
                                kernels::TableKind::kSmall, rng);
  std::vector<int32_t> ids(m());
  for (size_t i = 0; i < m(); ++i) ids[i] = static_cast<int32_t>(i * 7 % kN);
  ModelBuilder builder;
  builder.Input("ids", {}, ValueType::kInt32)
      .Add(OpType::kEmbedding, {"ids"}, "y", "w")
      .Output("y")
      .Packed("w", {packed.blob.get(), packed.blob_bytes});
  const auto y = Run(builder, {ids.data()});
  std::vector<float> row(kK);
  for (size_t i = 0; i < m(); ++i) {
    kernels::DequantizeRow(packed.matrix, static_cast<uint32_t>(ids[i]),
                           row.data());
    for (size_t c = 0; c < kK; ++c) ASSERT_EQ(y[i * kK + c], row[c]);
  }
}

TEST_P(OperatorTest, EmbeddingAliases) {
  std::vector<int32_t> ids(m());
  for (size_t i = 0; i < m(); ++i) ids[i] = static_cast<int32_t>(i) % 9;
  const std::vector<float> w = {0, 10, 20, 30, 40};
  ModelBuilder builder;
  // An id may have an alias though it has no row.
  builder.Input("ids", {}, ValueType::kInt32)
      .Add(OpType::kEmbedding, {"ids"}, "y", "w")
      .Set("aliases", std::vector<int64_t>{3, 1, 5, 0, 6, 0, 7, 4})
      .Output("y")
      .Floats("w", {5, 1}, w);
  const float expected[] = {0, 10, 20, 10, 40, 0, 0, 40};
  if (m() > 8) {
    EXPECT_THROW(Run(builder, {ids.data()}), Error);  // 8 has neither
    return;
  }
  const auto y = Run(builder, {ids.data()});
  for (size_t i = 0; i < m(); ++i) ASSERT_EQ(y[i], expected[i]);
}

// A weight as long as a head normalizes each by itself.
TEST_P(OperatorTest, RmsNormOfHeads) {
  constexpr size_t kHeads = 3;
  constexpr size_t kWidth = 20;
  const auto x = RandomFloats(m() * kHeads * kWidth, 1);
  const auto w = RandomFloats(kWidth, 2);
  ModelBuilder builder;
  builder.Input("x", {kHeads * kWidth})
      .Add(OpType::kRmsNorm, {"x"}, "y", "w")
      .Set("eps", 1e-6)
      .Output("y")
      .Floats("w", {kWidth}, w);
  const auto y = Run(builder, {x.data()});
  ASSERT_EQ(y.size(), x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    double squares = 0;
    for (size_t j = 0; j < kWidth; ++j) {
      const double v = x[i / kWidth * kWidth + j];
      squares += v * v;
    }
    const double e =
        x[i] / std::sqrt(squares / kWidth + 1e-6) * double{w[i % kWidth]};
    ASSERT_NEAR(y[i], e, 1e-5 * std::abs(e));
  }
}

TEST_P(OperatorTest, Scale) {
  const auto x = RandomFloats(Elements(), 1);
  const float w = -1.5f;
  for (const bool weighted : {false, true}) {
    ModelBuilder builder;
    builder.Input("x", {kRows, kColumns})
        .Add(OpType::kScale, {"x"}, "y", weighted ? "w" : "")
        .Set("factor", 0.3)
        .Output("y")
        .Floats("w", {1}, {&w, 1});
    const auto y = Run(builder, {x.data()});
    const float factor = weighted ? 0.3f * w : 0.3f;
    for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(y[i], x[i] * factor);
  }
}

TEST_P(OperatorTest, Clamp) {
  auto x = RandomFloats(Elements(), 1);
  x[0] = std::numeric_limits<float>::quiet_NaN();
  ModelBuilder builder;
  builder.Input("x", {kRows, kColumns})
      .Add(OpType::kClamp, {"x"}, "both")
      .Set("low", -0.5)
      .Set("high", 0.25)
      .Add(OpType::kClamp, {"x"}, "y")
      .Set("high", 0.25)
      .Output("both");
  const auto y = Run(builder, {x.data()});
  EXPECT_TRUE(std::isnan(y[0]));
  for (size_t i = 1; i < x.size(); ++i) {
    ASSERT_EQ(y[i], std::clamp(x[i], -0.5f, 0.25f));
  }
}

TEST_P(OperatorTest, FakeQuantize) {
  auto x = RandomFloats(Elements(), 1);
  x[0] = std::numeric_limits<float>::quiet_NaN();
  x[1] = 0.75f;  // in the middle between 1 and 2 steps
  x[2] = -100.0f;
  ModelBuilder builder;
  builder.Input("x", {kRows, kColumns})
      .Add(OpType::kFakeQuantize, {"x"}, "y")
      .Set("scale", 0.5)
      .Set("low", -3.0)
      .Set("high", 2.0)
      .Output("y");
  const auto y = Run(builder, {x.data()});
  EXPECT_TRUE(std::isnan(y[0]));
  EXPECT_EQ(y[1], 1.0f);
  EXPECT_EQ(y[2], -1.5f);
  for (size_t i = 1; i < x.size(); ++i) {
    ASSERT_EQ(y[i], std::clamp(std::nearbyint(x[i] * 2), -3.0f, 2.0f) / 2);
  }
}

TEST_P(OperatorTest, Concat) {
  const auto a = RandomFloats(m() * 6, 1);
  const auto b = RandomFloats(m() * 10, 2);
  ModelBuilder builder;
  builder.Input("a", {2, 3})
      .Input("b", {2, 5})
      .Add(OpType::kConcat, {"a", "b"}, "y")
      .Output("y");
  const auto y = Run(builder, {a.data(), b.data()});
  ASSERT_EQ(y.size(), m() * 16);
  for (size_t i = 0; i < y.size(); ++i) {
    const size_t row = i / 8;
    const size_t column = i % 8;
    ASSERT_EQ(y[i], column < 3 ? a[row * 3 + column] : b[row * 5 + column - 3]);
  }
}

TEST_P(OperatorTest, Slice) {
  const auto x = RandomFloats(m() * 10, 1);
  ModelBuilder builder;
  builder.Input("x", {10})
      .Add(OpType::kSlice, {"x"}, "y")
      .Set("begin", 3.0)
      .Set("length", 4.0)
      .Output("y");
  const auto y = Run(builder, {x.data()});
  for (size_t i = 0; i < y.size(); ++i) {
    ASSERT_EQ(y[i], x[i / 4 * 10 + 3 + i % 4]);
  }
}

TEST_P(OperatorTest, Gather) {
  const std::vector<float> places = {9, 0, 3, 3, 7, 1, 0};
  const auto x = RandomFloats(m() * 10, 1);
  ModelBuilder builder;
  builder.Input("x", {10})
      .Add(OpType::kGather, {"x"}, "y", "places")
      .Output("y")
      .Floats("places", {7}, places);
  const auto y = Run(builder, {x.data()});
  for (size_t i = 0; i < y.size(); ++i) {
    ASSERT_EQ(y[i], x[i / 7 * 10 + static_cast<size_t>(places[i % 7])]);
  }
}

TEST_P(OperatorTest, Positions) {
  constexpr int64_t kWidth = 6;
  const auto x = RandomFloats(m() * kWidth, 1);
  const auto table = RandomFloats(33 * kWidth, 2);
  const std::vector<float> factors = {1, 2, 4};
  ModelBuilder builder;
  builder.Input("x", {kWidth})
      .Add(OpType::kPositionEmbedding, {"x"}, "placed", "table")
      .Add(OpType::kPositionScale, {"placed"}, "y", "factors")
      .Set("period", 3.0)
      .Output("y")
      .Floats("table", {33, kWidth}, table)
      .Floats("factors", {3}, factors);
  const auto y = Run(builder, {x.data()});
  for (size_t i = 0; i < y.size(); ++i) {
    const size_t position = i / kWidth;
    ASSERT_EQ(y[i],
              (x[i] + table[i]) * factors[std::min<size_t>(position / 3, 2)]);
  }
}

TEST(PositionEmbeddingTest, NoPlaceBehindTheTable) {
  const TempDir dir;
  const std::vector<float> table(4, 1.0f);
  ModelBuilder()
      .Input("x", {1})
      .Add(OpType::kPositionEmbedding, {"x"}, "y", "table")
      .Output("y")
      .Floats("table", {4, 1}, table)
      .Write(dir / "m.safetensors");
  Session session(Model::Load(dir / "m.safetensors"), {.threads = 1});
  const std::vector<float> x(3);
  std::vector<float> y(3);
  const void* const in = x.data();
  float* const out = y.data();
  session.Run(3, {&in, 1}, {&out, 1});
  try {
    session.Run(2, {&in, 1}, {&out, 1});
    FAIL() << "not refused";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kContextFull);
    EXPECT_NE(std::string(error.what()).find("there are 4 learned positions"),
              std::string::npos)
        << error.what();
  }
  session.Run(1, {&in, 1}, {&out, 1});
}

INSTANTIATE_TEST_SUITE_P(All, OperatorTest,
                         ::testing::Combine(::testing::Values(1, 2, 5, 33),
                                            ::testing::Values(1, 3)),
                         [](const auto& test) {
                           return std::string("M") +
                                  std::to_string(std::get<0>(test.param)) +
                                  "Threads" +
                                  std::to_string(std::get<1>(test.param));
                         });

}  // namespace
}  // namespace lutra
