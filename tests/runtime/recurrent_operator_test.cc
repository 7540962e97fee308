// Operators that remember tokens, but for attention, against plain mathematics
// and in calls of any length.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "lutra/kernels/thread_team.h"
#include "lutra/kernels/vector_ops.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/session.h"
#include "lutra/runtime/softplus.h"
#include "runtime/ops/causal_conv1d.h"
#include "runtime/ops/gated_delta_rule.h"
#include "runtime/ops/token_pool.h"
#include "tests/runtime/model_builder.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

constexpr size_t kTokens = 23;

// The outputs of all tokens, which come `chunk` at a time; rows of the inputs
// have `widths` elements.
std::vector<float> RunTokens(const ModelBuilder& builder,
                             const std::vector<std::vector<float>>& inputs,
                             size_t chunk, size_t threads) {
  const TempDir dir;
  const auto path = dir / "m.safetensors";
  builder.Write(path);
  const auto executor = StartThreadTeam(threads);
  Session session(Model::Load(path),
                  {.executor = executor.get(), .context = kTokens});
  const size_t width = session.model().outputs()[0].ElementCount();
  std::vector<float> y(kTokens * width);
  for (size_t t = 0; t < kTokens; t += chunk) {
    const size_t m = std::min(chunk, kTokens - t);
    std::vector<const void*> in;
    for (const auto& input : inputs) {
      in.push_back(&input[t * (input.size() / kTokens)]);
    }
    float* const out = &y[t * width];
    session.Run(m, in, {&out, 1});
  }
  return y;
}

// All chunks and threads give the bits of `reference`, which are near what is
// expected.
void Check(const ModelBuilder& builder,
           const std::vector<std::vector<float>>& inputs,
           const std::vector<float>& reference,
           const std::vector<double>& expected, double tolerance) {
  const auto y = RunTokens(builder, inputs, kTokens, 1);
  EXPECT_EQ(y, reference);
  ASSERT_EQ(y.size(), expected.size());
  for (size_t i = 0; i < y.size(); ++i) {
    ASSERT_NEAR(y[i], expected[i], tolerance) << "element " << i;
  }
  for (const size_t chunk : {1u, 2u, 5u}) {
    EXPECT_EQ(RunTokens(builder, inputs, chunk, 3), y) << chunk << " at a time";
  }
}

TEST(RecurrentOperatorTest, CausalConv1d) {
  constexpr size_t kWidth = 5;
  for (const size_t taps : {1u, 3u, 4u}) {
    const auto x = RandomFloats(kTokens * kWidth, 1);
    const auto w = RandomFloats(taps * kWidth, 2);
    const auto bias = RandomFloats(kWidth, 3);
    for (const bool biased : {false, true}) {
      ModelBuilder builder;
      builder.Input("x", {kWidth})
          .Add(OpType::kCausalConv1d, {"x"}, "y", "w", biased ? "b" : "")
          .Output("y")
          .Floats("w", {static_cast<int64_t>(taps), kWidth}, w)
          .Floats("b", {kWidth}, bias);
      std::vector<double> expected(x.size());
      for (size_t t = 0; t < kTokens; ++t) {
        for (size_t i = 0; i < kWidth; ++i) {
          double sum = biased ? bias[i] : 0;
          for (size_t tap = 0; tap < taps; ++tap) {
            const size_t back = taps - 1 - tap;
            if (back > t) continue;
            sum += double{w[tap * kWidth + i]} *
                   double{x[(t - back) * kWidth + i]};
          }
          expected[t * kWidth + i] = sum;
        }
      }
      std::vector<float> reference(x.size());
      ReferenceCausalConv1d(x, w, biased ? bias.data() : nullptr, kWidth,
                            reference.data());
      Check(builder, {x}, reference, expected, 1e-5);
    }
  }
}

TEST(RecurrentOperatorTest, LstmCellGivesWhatItHolds) {
  constexpr size_t kUnits = 3;
  const auto x = RandomFloats(kTokens * 4 * kUnits, 1);
  const auto w = RandomFloats(4 * kUnits * kUnits, 2);
  const auto build = [&](const char* output) {
    ModelBuilder builder;
    builder.Input("x", {4 * kUnits})
        .Add(OpType::kLstmCell, {"x"}, "y", "w")
        .Set("gates", std::string("ifgo"))
        .Set("output", std::string(output))
        .Output("y")
        .Floats("w", {4 * kUnits, kUnits}, w);
    return builder;
  };
  const auto hidden = RunTokens(build("hidden"), {x}, kTokens, 1);
  const auto reference = RunTokens(build("both"), {x}, kTokens, 1);
  std::vector<double> expected;
  std::vector<double> h(kUnits);
  std::vector<double> c(kUnits);
  for (size_t t = 0; t < kTokens; ++t) {
    const std::vector<double> before = h;
    const auto gate = [&](size_t i) {
      double sum = x[t * 4 * kUnits + i];
      for (size_t j = 0; j < kUnits; ++j) {
        sum += double{w[i * kUnits + j]} * before[j];
      }
      return sum;
    };
    const auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
    for (size_t i = 0; i < kUnits; ++i) {
      c[i] = sigmoid(gate(kUnits + i)) * c[i] +
             sigmoid(gate(i)) * std::tanh(gate(2 * kUnits + i));
      h[i] = sigmoid(gate(3 * kUnits + i)) * std::tanh(c[i]);
      EXPECT_EQ(reference[t * 2 * kUnits + i], hidden[t * kUnits + i]);
    }
    expected.insert(expected.end(), h.begin(), h.end());
    expected.insert(expected.end(), c.begin(), c.end());
  }
  Check(build("both"), {x}, reference, expected, 1e-5);
}

// A cell that goes backward gives what one that goes forward gives of the text
// in the other order.
TEST(RecurrentOperatorTest, CellsThatGoBackward) {
  constexpr size_t kUnits = 5;
  for (const OpType op : {OpType::kLstmCell, OpType::kGruCell}) {
    const size_t gates = op == OpType::kLstmCell ? 4 : 3;
    const auto x = RandomFloats(kTokens * gates * kUnits, 1);
    const auto w = RandomFloats(gates * kUnits * kUnits, 2);
    const auto build = [&](const char* direction) {
      ModelBuilder builder;
      const auto width = static_cast<int64_t>(gates * kUnits);
      builder.Input("x", {width})
          .Add(op, {"x"}, "y", "w")
          .Set("gates", std::string(op == OpType::kLstmCell ? "ifgo" : "zrn"))
          .Set("direction", std::string(direction))
          .Output("y")
          .Floats("w", {width, kUnits}, w);
      if (op == OpType::kGruCell) builder.Set("reset", std::string("after"));
      return builder;
    };
    const auto reversed = [](const std::vector<float>& rows) {
      const size_t width = rows.size() / kTokens;
      std::vector<float> result;
      for (size_t t = kTokens; t-- > 0;) {
        const float* const row = rows.data() + t * width;
        result.insert(result.end(), row, row + width);
      }
      return result;
    };
    const auto y = RunTokens(build("backward"), {x}, kTokens, 1);
    EXPECT_EQ(y,
              reversed(RunTokens(build("forward"), {reversed(x)}, kTokens, 1)));
    EXPECT_NE(y, RunTokens(build("forward"), {x}, kTokens, 1));
    // What comes later would change what is there.
    EXPECT_THAT(
        ErrorMessage([&] { RunTokens(build("backward"), {x}, 5, 1); }),
        ::testing::HasSubstr("it goes backward, so a text comes in one call, "
                             "and 5 of its tokens came before"));
  }
}

TEST(RecurrentOperatorTest, GatedDeltaRule) {
  constexpr size_t kHeads = 4;
  constexpr size_t kKeyHeads = 2;
  constexpr size_t kDk = 3;
  constexpr size_t kDv = 5;
  const auto q = RandomFloats(kTokens * kKeyHeads * kDk, 1);
  const auto k = RandomFloats(kTokens * kKeyHeads * kDk, 2, 0.4f);
  const auto v = RandomFloats(kTokens * kHeads * kDv, 3);
  const auto a = RandomFloats(kTokens * kHeads, 4);
  const auto beta = RandomFloats(kTokens * kHeads, 5, 0.5f);
  const std::vector<float> rates = {0.1f, 0.5f, 1.0f, 2.0f};
  ModelBuilder builder;
  builder.Input("q", {kKeyHeads * kDk})
      .Input("k", {kKeyHeads * kDk})
      .Input("v", {kHeads * kDv})
      .Input("a", {kHeads})
      .Input("beta", {kHeads})
      .Add(OpType::kGatedDeltaRule, {"q", "k", "v", "a", "beta"}, "y", "rates")
      .Set("heads", double{kHeads})
      .Set("key_heads", double{kKeyHeads})
      .Output("y")
      .Floats("rates", {kHeads}, rates);
  std::vector<double> expected(v.size());
  for (size_t h = 0; h < kHeads; ++h) {
    double s[kDk][kDv] = {};
    for (size_t t = 0; t < kTokens; ++t) {
      const size_t key = (t * kKeyHeads + h / 2) * kDk;
      const size_t value = t * kHeads + h;
      const double decay =
          std::exp(-double{rates[h]} * std::log1p(std::exp(double{a[value]})));
      for (size_t j = 0; j < kDv; ++j) {
        double read = 0;
        for (size_t i = 0; i < kDk; ++i) {
          s[i][j] *= decay;
          read += double{k[key + i]} * s[i][j];
        }
        const double u = (double{v[value * kDv + j]} - read) * beta[value];
        double y = 0;
        for (size_t i = 0; i < kDk; ++i) {
          s[i][j] += k[key + i] * u;
          y += double{q[key + i]} * s[i][j];
        }
        expected[value * kDv + j] = y;
      }
    }
  }
  std::vector<float> reference(v.size());
  for (size_t h = 0; h < kHeads; ++h) {
    std::vector<float> s(kDk * kDv);
    std::vector<float> u(kDv);
    for (size_t t = 0; t < kTokens; ++t) {
      const size_t key = (t * kKeyHeads + h / 2) * kDk;
      const size_t value = t * kHeads + h;
      float decay = -rates[h] * Softplus(a[value]);
      kernels::Apply(kernels::Function::kExp, &decay, 1, &decay);
      GatedDeltaRule(&q[key], &k[key], &v[value * kDv], decay, beta[value], kDk,
                     kDv, s.data(), u.data(), &reference[value * kDv]);
    }
  }
  Check(builder, {q, k, v, a, beta}, reference, expected, 1e-4);
}

// The step's loops against one symbol each.
TEST(RecurrentOperatorTest, GatedDeltaRuleHasTheBitsOfItsDefinition) {
  constexpr size_t kDk = 17;
  constexpr size_t kDv = 19;
  const auto q = RandomFloats(kDk, 1);
  const auto k = RandomFloats(kDk, 2);
  const auto v = RandomFloats(kDv, 3);
  auto s = RandomFloats(kDk * kDv, 4);
  auto expected = s;
  constexpr float kDecay = 0.7f;
  constexpr float kBeta = 0.3f;
  std::vector<float> y(kDv);
  std::vector<float> u(kDv);
  GatedDeltaRule(q.data(), k.data(), v.data(), kDecay, kBeta, kDk, kDv,
                 s.data(), u.data(), y.data());
  for (size_t j = 0; j < kDv; ++j) {
    volatile float read = 0;  // keeps every rounding
    for (size_t i = 0; i < kDk; ++i) {
      volatile float decayed = expected[i * kDv + j] * kDecay;
      volatile float product = k[i] * decayed;
      expected[i * kDv + j] = decayed;
      read = read + product;
    }
    volatile float difference = v[j] - read;
    volatile float change = difference * kBeta;
    volatile float sum = 0;
    for (size_t i = 0; i < kDk; ++i) {
      volatile float added = k[i] * change;
      volatile float next = expected[i * kDv + j] + added;
      volatile float product = q[i] * next;
      expected[i * kDv + j] = next;
      sum = sum + product;
    }
    ASSERT_EQ(y[j], sum);
  }
  EXPECT_EQ(s, expected);
}

TEST(RecurrentOperatorTest, Softplus) {
  for (float x = -90; x < 100; x += 0.37f) {
    const double e = std::log1p(std::exp(double{x}));
    EXPECT_NEAR(Softplus(x), e, 3e-7 * e + 2e-38) << x;
  }
  EXPECT_TRUE(std::isnan(Softplus(std::nanf(""))));
}

TEST(RecurrentOperatorTest, TokenPool) {
  constexpr size_t kWidth = 6;
  const auto x = RandomFloats(kTokens * kWidth, 1);
  for (const bool mean : {true, false}) {
    ModelBuilder builder;
    builder.Input("x", {2, kWidth / 2})
        .Add(OpType::kTokenPool, {"x"}, "y")
        .Set("over", std::string(mean ? "mean" : "first"))
        .Output("y");
    std::vector<double> expected(x.size());
    for (size_t i = 0; i < kWidth; ++i) {
      double sum = 0;
      for (size_t t = 0; t < kTokens; ++t) {
        sum += x[t * kWidth + i];
        expected[t * kWidth + i] =
            mean ? sum / static_cast<double>(t + 1) : x[i];
      }
    }
    std::vector<float> reference(x.size());
    ReferenceTokenPool(x, mean, kWidth, reference.data());
    Check(builder, {x}, reference, expected, 1e-5);
  }
}

}  // namespace
}  // namespace lutra
