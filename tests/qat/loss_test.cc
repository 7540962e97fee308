#include "lutra/qat/loss.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "lutra/kernels/thread_team.h"
#include "lutra/runtime/random.h"
#include "tests/runtime/allocation_counter.h"
#include "tests/runtime/throws.h"

namespace lutra::qat {
namespace {

using Doubles = std::vector<double>;

std::vector<float> RandomFloats(size_t n, uint64_t seed, float scale = 1.0f) {
  Random random(seed);
  std::vector<float> values(n);
  for (float& value : values) value = scale * random.Symmetric();
  return values;
}

TEST(LossTest, GradientMatchesFiniteDifferences) {
  // The last row would overflow without the shift by its maximum.
  const std::vector<float> logits = {0.5f,  -1.0f, 2.0f,  1.5f, 1.0f, -0.25f,
                                     -3.0f, 0.0f,  0.75f, 500,  499,  498};
  const std::vector<int32_t> labels = {2, 0, 1, 1};
  std::vector<float> gradient(logits.size());
  const ClassificationLoss loss =
      SoftmaxCrossEntropy(logits, labels, {}, /*scale=*/0.25f, gradient);
  EXPECT_EQ(loss.correct, 2u);

  const auto reference = [&](const Doubles& x) {
    double sum = 0.0;
    for (size_t row = 0; row < labels.size(); ++row) {
      const double* r = x.data() + 3 * row;
      sum +=
          std::log(1.0 + std::exp(r[(labels[row] + 1) % 3] - r[labels[row]]) +
                   std::exp(r[(labels[row] + 2) % 3] - r[labels[row]]));
    }
    return sum;
  };
  Doubles x(logits.begin(), logits.end());
  EXPECT_NEAR(loss.loss, reference(x), 1e-5);
  for (size_t i = 0; i < x.size(); ++i) {
    const double before = x[i];
    x[i] = before + 1e-5;
    const double above = reference(x);
    x[i] = before - 1e-5;
    const double below = reference(x);
    x[i] = before;
    // The gradient is that of the mean over four rows.
    EXPECT_NEAR(gradient[i], (above - below) / 2e-5 / 4, 1e-6) << i;
  }
}

// A block of logits at a time gives what all at once give.
TEST(LossTest, LinearCrossEntropyIsThatOfItsLogits) {
  constexpr size_t kRows = 1100;  // more than two blocks
  constexpr size_t kWidth = 5;
  constexpr size_t kClasses = 37;
  const auto x = RandomFloats(kRows * kWidth, 1);
  const auto weight = RandomFloats(kClasses * kWidth, 2);
  const auto bias = RandomFloats(kClasses, 3);
  const auto teacher = RandomFloats(kClasses * kWidth, 4, 2.0f);
  std::vector<int32_t> targets(kRows);
  for (size_t i = 0; i < kRows; ++i) {
    targets[i] = i % 7 == 0 ? -1 : static_cast<int32_t>(i * 5 % kClasses);
  }
  const auto logits_of = [&](const std::vector<float>& w, bool with_bias) {
    std::vector<float> logits;
    for (size_t row = 0; row < kRows; ++row) {
      for (size_t c = 0; c < kClasses; ++c) {
        double sum = with_bias ? bias[c] : 0.0;
        for (size_t i = 0; i < kWidth; ++i) {
          sum += double{x[row * kWidth + i]} * w[c * kWidth + i];
        }
        logits.push_back(static_cast<float>(sum));
      }
    }
    return logits;
  };
  for (const double share : {0.0, 0.3, 1.0}) {
    ClassificationOptions options;
    options.ignored_target = -1;
    options.label_smoothing = 0.1;
    options.distillation = share;
    options.temperature = 2.0;
    const auto logits = logits_of(weight, true);
    std::vector<float> d(logits.size());
    const auto expected = SoftmaxCrossEntropy(logits, targets, options, 0.01f,
                                              d, logits_of(teacher, false));
    for (const size_t threads : {1u, 3u}) {
      const std::unique_ptr<Executor> executor = StartThreadTeam(threads);
      LinearCrossEntropy head(kClasses, options, executor.get());
      std::vector<float> dx(x.size());
      std::vector<float> dweight(weight.size());
      std::vector<float> dbias(bias.size());
      const LinearLayer layer{x.data(), kWidth, weight.data(), bias.data()};
      const LayerLogits of_teacher({x.data(), kWidth, teacher.data()}, kClasses,
                                   executor.get());
      // A thread's first call makes room for products.
      head.Run(layer, targets, 0.01f, {dx.data(), dweight.data(), dbias.data()},
               &of_teacher);
      std::fill(dweight.begin(), dweight.end(), 0.0f);
      std::fill(dbias.begin(), dbias.end(), 0.0f);
      const size_t before = AllocationCount();
      const auto got =
          head.Run(layer, targets, 0.01f,
                   {dx.data(), dweight.data(), dbias.data()}, &of_teacher);
      EXPECT_EQ(AllocationCount(), before);
      EXPECT_EQ(got.rows, expected.rows);
      EXPECT_EQ(got.correct, expected.correct);
      EXPECT_NEAR(got.loss, expected.loss, 1e-5 * expected.loss);
      for (size_t i = 0; i < kWidth; ++i) {
        for (const size_t row : {size_t{0}, size_t{1}, kRows - 1}) {
          double sum = 0.0;
          for (size_t c = 0; c < kClasses; ++c) {
            sum += double{d[row * kClasses + c]} * weight[c * kWidth + i];
          }
          EXPECT_NEAR(dx[row * kWidth + i], sum, 1e-7);
        }
        double sum = 0.0;
        for (size_t row = 0; row < kRows; ++row) {
          sum += double{d[row * kClasses + 3]} * x[row * kWidth + i];
        }
        EXPECT_NEAR(dweight[3 * kWidth + i], sum, 1e-6);
      }
      double sum = 0.0;
      for (size_t row = 0; row < kRows; ++row) sum += d[row * kClasses + 3];
      EXPECT_NEAR(dbias[3], sum, 1e-6);
    }
  }
}

TEST(LossTest, RefusesWhatCannotBe) {
  const std::vector<int32_t> targets = {0, -100, 4};
  const auto message = [&](size_t classes, const ClassificationOptions& o) {
    return ErrorMessage([&] { CheckTargets(targets, classes, o); });
  };
  EXPECT_NO_THROW(CheckTargets(targets, 5, {}));
  EXPECT_EQ(message(4, {}), "target 4 is outside [0, 4)");
  EXPECT_EQ(message(5, {.ignored_target = -1}),
            "target -100 is outside [0, 5)");
  EXPECT_EQ(message(5, {.label_smoothing = 1.0}),
            "label smoothing must be in [0, 1)");
  EXPECT_EQ(message(5, {.distillation = 1.1}),
            "the share of distillation must be in [0, 1]");
  EXPECT_EQ(message(5, {.temperature = 0.0}),
            "the temperature must be above 0");
}

}  // namespace
}  // namespace lutra::qat
