// SGD, Adam and AdamW against the formulas of the header, in double.

#include "lutra/qat/base_optimizers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lutra/kernels/thread_team.h"

namespace lutra::qat {
namespace {

// Several pieces of work, and a part of one.
constexpr size_t kSize = 40001;
constexpr int kSteps = 6;

constexpr double kRate = 0.05;
constexpr double kDecay = 0.3;

// One value on its way; t counts steps from 1.
struct Plain {
  double w = 0;
  double m = 0;
  double v = 0;

  void Sgd(double g, int t, const SgdOptions& o) {
    g += kDecay * w;
    if (o.momentum != 0) {
      m = t == 1 ? g : o.momentum * m + (1 - o.dampening) * g;
      g = o.nesterov ? g + o.momentum * m : m;
    }
    w -= kRate * g;
  }

  void Adam(double g, int t, const AdamOptions& o, bool decoupled) {
    if (decoupled) {
      w *= 1 - kRate * kDecay;
    } else {
      g += kDecay * w;
    }
    m = o.beta1 * m + (1 - o.beta1) * g;
    v = o.beta2 * v + (1 - o.beta2) * g * g;
    w -= kRate / (1 - std::pow(o.beta1, t)) * m /
         (std::sqrt(v) / std::sqrt(1 - std::pow(o.beta2, t)) + o.epsilon);
  }
};

struct OptimizerCase {
  const char* name;
  std::function<std::unique_ptr<Optimizer>(std::vector<ParamGroup>)> make;
  std::function<void(Plain&, double g, int t)> step;

  friend std::ostream& operator<<(std::ostream& stream,
                                  const OptimizerCase& c) {
    return stream << c.name;
  }
};

OptimizerCase SgdCase(const char* name, const SgdOptions& options) {
  return {
      name,
      [options](auto groups) { return MakeSgd(std::move(groups), options); },
      [options](Plain& p, double g, int t) { p.Sgd(g, t, options); }};
}

OptimizerCase AdamCase(const char* name, const AdamOptions& options) {
  return {
      name,
      [options](auto groups) { return MakeAdam(std::move(groups), options); },
      [options](Plain& p, double g, int t) { p.Adam(g, t, options, false); }};
}

OptimizerCase AdamWCase(const char* name, const AdamOptions& options) {
  return {
      name,
      [options](auto groups) { return MakeAdamW(std::move(groups), options); },
      [options](Plain& p, double g, int t) { p.Adam(g, t, options, true); }};
}

class BaseOptimizerFormulaTest
    : public ::testing::TestWithParam<OptimizerCase> {};

TEST_P(BaseOptimizerFormulaTest, GivesTheSameNumbers) {
  std::vector<float> w(kSize);
  std::vector<float> gradient(kSize);
  std::vector<Plain> plain(kSize);
  for (size_t i = 0; i < kSize; ++i) {
    w[i] = static_cast<float>(std::sin(static_cast<double>(i)));
    plain[i].w = static_cast<double>(w[i]);
  }
  ParamGroup group;
  group.lr = kRate;
  group.weight_decay = kDecay;
  group.parameters.push_back(
      {"w", {int64_t{kSize}}, w.data(), gradient.data(), true});
  const auto optimizer = GetParam().make({group});
  const std::unique_ptr<Executor> executor = StartThreadTeam(3);
  for (int t = 1; t <= kSteps; ++t) {
    for (size_t i = 0; i < kSize; ++i) {
      // Away from zero, where Adam divides what rounding left.
      const double g = std::cos(static_cast<double>(i % 997) + 3.0 * t);
      gradient[i] = static_cast<float>(g + std::copysign(0.01, g));
      GetParam().step(plain[i], static_cast<double>(gradient[i]), t);
    }
    optimizer->Step(executor.get());
    for (size_t i = 0; i < kSize; ++i) {
      ASSERT_NEAR(w[i], plain[i].w, 5e-6) << "step " << t << ", value " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, BaseOptimizerFormulaTest,
    ::testing::Values(
        SgdCase("Sgd", {}), SgdCase("Momentum", {.momentum = 0.8}),
        SgdCase("Dampening", {.momentum = 0.8, .dampening = 0.25}),
        SgdCase("Nesterov", {.momentum = 0.8, .nesterov = true}),
        AdamCase("Adam", {}), AdamCase("AdamOfOtherOptions", {0.7, 0.95, 0.01}),
        AdamCase("AdamOfSmallBetas", {0.3, 0.5, 0.01}), AdamWCase("AdamW", {}),
        AdamWCase("AdamWOfOtherOptions", {0.7, 0.95, 0.01})),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace lutra::qat
