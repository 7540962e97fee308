// QuantOptimizer against its description, in double.

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "lutra/qat/base_optimizers.h"
#include "lutra/qat/prox_maps.h"
#include "lutra/qat/quant_optimizer.h"
#include "lutra/qat/quantizers.h"
#include "tests/qat/plain_grids.h"
#include "tests/qat/random_values.h"

namespace lutra::qat {
namespace {

constexpr int kBits = 3;

// A weight that SGD moves by a gradient that stays the same.
struct Weight {
  Weight(std::vector<int64_t> dimensions, uint32_t seed)
      : shape(std::move(dimensions)),
        w(RandomValues(24, seed)),
        gradient(RandomValues(24, seed + 100)),
        latent(w.begin(), w.end()) {}

  ParamGroup Group(const std::string& name, double rate) {
    ParamGroup group;
    group.lr = rate;
    group.quant_bits = kBits;
    group.parameters.push_back({name, shape, w.data(), gradient.data(), true});
    return group;
  }
  void StepLatent(double rate, double decay = 0) {
    for (size_t i = 0; i < latent.size(); ++i) {
      latent[i] -=
          rate * (static_cast<double>(gradient[i]) + decay * latent[i]);
    }
  }
  // Every `columns` latent weights, divided by `gamma`, on a grid of their own.
  Vector Quantized(size_t columns, double gamma = 1) const {
    Vector q = latent;
    for (double& value : q) value /= gamma;
    for (size_t begin = 0; begin < q.size(); begin += columns) {
      const Vector grid = MaxUniform(&q[begin], columns, kBits);
      for (size_t i = 0; i < columns; ++i) {
        q[begin + i] = Nearest(grid, q[begin + i]);
      }
    }
    return q;
  }

  std::vector<int64_t> shape;
  std::vector<float> w;
  std::vector<float> gradient;
  Vector latent;
};

void ExpectNear(std::span<const float> got, const Vector& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(got[i], expected[i], 1e-5) << i;
  }
}

QuantOptimizer MakeHard(std::vector<ParamGroup> groups,
                        QuantOptimizerOptions options) {
  return QuantOptimizer(MakeSgd(std::move(groups), {}),
                        MakeQuantizer("max-uniform"), MakeProxHardQuant(),
                        std::move(options));
}

// A grid per row, whatever the number of dimensions; or one for all.
TEST(QuantOptimizerFormulaTest, RowsAreTheFirstDimension) {
  for (const std::vector<int64_t>& shape :
       {std::vector<int64_t>{4, 6}, {4, 3, 2}, {24}}) {
    for (const bool per_channel : {true, false}) {
      Weight weight(shape, 1);
      QuantOptimizer optimizer =
          MakeHard({weight.Group("w", 0.1)},
                   {.quant_period = 1, .per_channel = per_channel});
      optimizer.Step(nullptr);
      weight.StepLatent(0.1);
      ExpectNear(weight.w,
                 weight.Quantized(per_channel && shape.size() > 1 ? 6 : 24));
    }
  }
}

// Grids are derived when warm-up ends and every third step from then on.
TEST(QuantOptimizerFormulaTest, PeriodCountsFromTheEndOfWarmUp) {
  Weight weight({4, 6}, 2);
  QuantOptimizer optimizer =
      MakeHard({weight.Group("w", 0.1)},
               {.warmup_steps = 2, .quant_period = 3, .per_channel = true});
  Vector grids;
  for (int step = 0; step < 10; ++step) {
    SCOPED_TRACE(step);
    optimizer.Step(nullptr);
    weight.StepLatent(0.1);
    if (step < 2) {
      ExpectNear(weight.w, weight.latent);
      EXPECT_TRUE(optimizer.Grids("w").empty());
      continue;
    }
    Vector expected;
    if (step == 2 || step == 5 || step == 8) grids.clear();
    for (size_t row = 0; row < 4; ++row) {
      if (grids.size() < 4 * 7) {
        const Vector grid = MaxUniform(&weight.latent[row * 6], 6, kBits);
        grids.insert(grids.end(), grid.begin(), grid.end());
      }
      const Vector grid(&grids[row * 7], &grids[row * 7] + 7);
      for (size_t i = 0; i < 6; ++i) {
        expected.push_back(Nearest(grid, weight.latent[row * 6 + i]));
      }
    }
    ExpectNear(optimizer.Grids("w"), grids);
    ExpectNear(weight.w, expected);
    ExpectNear(optimizer.Latent("w"), weight.latent);
  }
}

TEST(QuantOptimizerFormulaTest, ShrinkDividesByTheSumOfRates) {
  Weight weight({4, 6}, 3);
  QuantOptimizer optimizer =
      MakeHard({weight.Group("w", 0.5)},
               {.quant_period = 1, .per_channel = true, .shrink = true});
  double sum = 0;
  for (const double rate : {0.5, 0.25, 0.75, 0.5}) {
    optimizer.groups()[0].lr = rate;
    optimizer.Step(nullptr);
    weight.StepLatent(rate);
    sum += rate;
    EXPECT_DOUBLE_EQ(optimizer.groups()[0].cumu_lr.value(), sum);
    ExpectNear(weight.w, weight.Quantized(6, std::max(1.0, sum)));
  }
  EXPECT_EQ(sum, 2.0);
}

// Part of the decay falls with the inverse slope, which is that of the step
// before.
TEST(QuantOptimizerFormulaTest, WeightDecayIsAnnealed) {
  constexpr double kDecay = 0.4;
  constexpr double kFraction = 0.75;
  Weight weight({4, 6}, 4);
  ParamGroup group = weight.Group("w", 0.1);
  group.weight_decay = kDecay;
  QuantOptimizer optimizer(
      MakeSgd({group}, {}), MakeQuantizer("max-uniform"),
      MakeProxParq({2, 6, 5.0, 0.5}),
      {.quant_period = 1, .per_channel = true, .anneal_wd_frac = kFraction});
  double decay = kDecay;
  for (int step = 0; step < 8; ++step) {
    SCOPED_TRACE(step);
    optimizer.Step(nullptr);
    weight.StepLatent(0.1, decay);
    ExpectNear(optimizer.Latent("w"), weight.latent);
    // From the end on nothing changes any more.
    if (step < 6) {
      const double slope = step < 2 ? 1.0 : Slope((step - 2) / 4.0, 5.0);
      decay = kDecay * (kFraction * slope + 1 - kFraction);
    }
    EXPECT_NEAR(optimizer.groups()[0].weight_decay, decay, 1e-12);
  }
  EXPECT_LT(decay, 0.2);
}

// Positions count quantized groups only.
TEST(QuantOptimizerFormulaTest, GroupsHaveQuantizersOfTheirOwn) {
  Weight a({4, 6}, 5);
  Weight b({4, 6}, 6);
  Weight c({4, 6}, 7);
  ParamGroup plain = b.Group("b", 0.1);
  plain.quant_bits.reset();
  ParamGroup ternary = c.Group("c", 0.1);
  ternary.quant_bits = 0;
  QuantOptimizerOptions options{.quant_period = 1, .per_channel = true};
  options.group_quantizers[1] = MakeQuantizer("ternary");
  QuantOptimizer optimizer =
      MakeHard({a.Group("a", 0.1), plain, ternary}, std::move(options));
  optimizer.Step(nullptr);
  for (Weight* weight : {&a, &b, &c}) weight->StepLatent(0.1);
  ExpectNear(a.w, a.Quantized(6));
  ExpectNear(b.w, b.latent);
  Vector expected;
  for (size_t row = 0; row < 4; ++row) {
    const Vector around = MaxUniform(&c.latent[row * 6], 6, 2);
    const double s = around[2] / 1.5;
    for (size_t i = 0; i < 6; ++i) {
      expected.push_back(Nearest({-s, 0, s}, c.latent[row * 6 + i]));
    }
  }
  ExpectNear(c.w, expected);
}

}  // namespace
}  // namespace lutra::qat
