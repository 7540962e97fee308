// Float activations: the same bits for every call on a variant, near the
// reference; and what holds for all activations.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "kernels/base/half.h"
#include "lutra/kernels/gemm.h"
#include "tests/kernels/each_variant.h"
#include "tests/kernels/gemm_case.h"
#include "tests/kernels/random_matrix.h"
#include "tests/rounds.h"

namespace lutra::kernels {
namespace {

// The bound of gemm.h for token `t` and row `n`, where products are `row`.
class Tolerance {
 public:
  Tolerance(const RandomMatrix& w, ActivationType type, const Input& input)
      : w_(w), type_(type), input_(input), plain_(w.format.k) {}

  void SetRow(uint32_t n) {
    const LutFormat& f = w_.format;
    DequantizeRow(w_.matrix, n, plain_.data());
    for (uint32_t k = 0; k < f.k; ++k) {
      const float offset =
          w_.offsets.empty()
              ? 0
              : w_.offsets[n * f.GroupsPerRow() + k / f.group_size];
      // |scale * LUT| is at most |w| + |offset|; offsets are rounded by 1/256.
      plain_[k] = std::fabs(plain_[k]) + 2.02f * std::fabs(offset);
    }
  }

  double Of(size_t t) const {
    double sum = 0;
    for (size_t k = 0; k < plain_.size(); ++k) {
      const float x = input_.x[t * input_.stride + k];
      sum += std::fabs(double{plain_[k]} * (type_ == ActivationType::kBFloat16
                                                ? RoundToBFloat16(x)
                                                : x));
    }
    const double k = static_cast<double>(plain_.size());
    return 0x1p-23 * (k + 4) * sum + 0x1p-126;
  }

 private:
  const RandomMatrix& w_;
  ActivationType type_;
  const Input& input_;
  std::vector<float> plain_;
};

// Whether sums over groups overflow, or token `t` is not finite.
bool HasLargeValues(const Input& input, size_t t) {
  const auto row = input.x.begin() + static_cast<ptrdiff_t>(t * input.stride);
  return !std::all_of(row, row + static_cast<ptrdiff_t>(input.k),
                      [](float x) { return std::fabs(x) < 1e30f; });
}

void ExpectNear(const std::vector<float>& expected,
                const std::vector<float>& actual, const RandomMatrix& w,
                ActivationType type, const Input& input) {
  Tolerance tolerance(w, type, input);
  for (uint32_t n = 0; n < w.format.n; ++n) {
    tolerance.SetRow(n);
    for (size_t t = 0; t < input.m; ++t) {
      const size_t at = t * w.format.n + n;
      if (HasLargeValues(input, t)) continue;
      const double bound = tolerance.Of(t);
      // Adding the bias rounds once more; gelu's slope reaches 1.13.
      ASSERT_NEAR(actual[at], expected[at],
                  1.2 * bound + 0x1p-21 * std::fabs(expected[at]))
          << t << " " << n;
    }
  }
}

TEST(FloatGemmTest, NearReferenceAndTheSameForEveryCall) {
  std::mt19937 rng(14);
  for (int i = 0; i < Rounds(80) && !testing::Test::HasFailure(); ++i) {
    const LutFormat format =
        RandomFormat(1 + static_cast<uint32_t>(rng() % 300),
                     1 + static_cast<uint32_t>(rng() % 300), rng);
    const RandomMatrix w = MakeRandomMatrix(format, TableKind::kExtreme, rng);
    const size_t m = 1 + rng() % 67;
    const size_t threads = rng() % 8 == 0 ? 1 + rng() % 8 : 0;
    const ActivationType type =
        rng() % 3 ? ActivationType::kFloat32 : ActivationType::kBFloat16;
    const Input input = MakeInput(m, format, rng);
    SCOPED_TRACE(Describe(format, type, input, threads));
    const std::vector<float> expected =
        Compute(Engine::kReference, w.matrix, type, input, 0);
    ForEachVariant([&](const char* variant) {
      SCOPED_TRACE(variant);
      const std::vector<float> actual =
          Compute(Engine::kActive, w.matrix, type, input, threads);
      ExpectNear(expected, actual, w, type, input);
      for (size_t t = 0; t < m; t += 1 + rng() % 5) {
        SCOPED_TRACE(t);
        const auto row = actual.begin() + static_cast<ptrdiff_t>(t * format.n);
        ExpectSameBits(
            std::vector<float>(row, row + static_cast<ptrdiff_t>(format.n)),
            Compute(Engine::kActive, w.matrix, type, OnlyToken(input, t), 0),
            format.n);
      }
    });
  }
}

// Every combination of format fields, one token and several.
TEST(FloatGemmTest, EveryFormat) {
  std::mt19937 rng(16);
  for (const uint32_t group_size : {16u, 48u, 128u, 203u}) {
    for (const LutFormat& choice : EveryEncoding()) {
      LutFormat format = choice;
      format.n = 19;
      format.k = 203;
      format.group_size = group_size;
      // Spans of 256 columns do not take every group.
      if (CheckFormat(format) != nullptr) continue;
      const RandomMatrix w = MakeRandomMatrix(format, TableKind::kSmall, rng);
      const Input input = MakeInput(3, format, rng);
      const ActivationType type = ActivationType::kFloat32;
      SCOPED_TRACE(Describe(format, type, input, 0));
      const std::vector<float> expected =
          Compute(Engine::kReference, w.matrix, type, input, 0);
      ForEachVariant([&](const char* variant) {
        SCOPED_TRACE(variant);
        ExpectNear(expected, Compute(Engine::kActive, w.matrix, type, input, 0),
                   w, type, input);
        const Input one = OnlyToken(input, 0);
        ExpectNear(expected, Compute(Engine::kActive, w.matrix, type, one, 0),
                   w, type, one);
      });
      if (testing::Test::HasFailure()) return;
    }
  }
}

// bfloat16 activations are rounded floats.
TEST(FloatGemmTest, BFloat16IsFloatOfRoundedActivations) {
  std::mt19937 rng(17);
  const LutFormat format{.n = 40,
                         .k = 100,
                         .bits = 3,
                         .group_size = 32,
                         .offset_type = OffsetType::kBFloat16};
  const RandomMatrix w = MakeRandomMatrix(format, TableKind::kSmall, rng);
  for (const size_t m : {size_t{1}, size_t{9}}) {
    const Input input = MakeInput(m, format, rng);
    Input rounded = input;
    for (float& x : rounded.x) x = RoundToBFloat16(x);
    ForEachVariant([&](const char* variant) {
      SCOPED_TRACE(variant);
      ExpectSameBits(Compute(Engine::kActive, w.matrix,
                             ActivationType::kFloat32, rounded, 0),
                     Compute(Engine::kActive, w.matrix,
                             ActivationType::kBFloat16, input, 0),
                     format.n);
    });
  }
}

// Enough work for threads to take part.
TEST(GemmTest, ManyThreadsGiveTheSameBits) {
  std::mt19937 rng(15);
  const LutFormat format{.n = 500,
                         .k = 264,
                         .bits = 2,
                         .group_size = 64,
                         .offset_type = OffsetType::kFloat32};
  const RandomMatrix w = MakeRandomMatrix(format, TableKind::kSmall, rng);
  for (const ActivationTraits& traits : kActivationTypes) {
    const ActivationType type = traits.type;
    const bool every = type == ActivationType::kInt8Asymmetric;
    for (const size_t m : {size_t{1}, size_t{130}}) {
      const Input input = MakeInput(m, format, rng);
      const std::vector<float> one =
          Compute(Engine::kActive, w.matrix, type, input, 0);
      for (size_t threads = 1; threads <= 8; threads += every ? 1 : 3) {
        ExpectSameBits(one,
                       Compute(Engine::kActive, w.matrix, type, input, threads),
                       format.n);
      }
    }
  }
}

TEST(GemmTest, NoTokens) {
  std::mt19937 rng(16);
  const LutFormat format{.n = 5, .k = 5, .bits = 2, .group_size = 5};
  const RandomMatrix w = MakeRandomMatrix(format, TableKind::kSmall, rng);
  EXPECT_EQ(GemmScratchBytes(w.matrix, ActivationType::kFloat32, 0), 0u);
  Gemm(w.matrix, ActivationType::kFloat32, GemmArguments(), nullptr, nullptr);
}

}  // namespace
}  // namespace lutra::kernels
