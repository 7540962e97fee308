// QuantOptimizer with learned scales.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "lutra/kernels/thread_team.h"
#include "lutra/qat/base_optimizers.h"
#include "lutra/qat/optimizer_state.h"
#include "lutra/qat/prox_maps.h"
#include "lutra/qat/quant_optimizer.h"
#include "lutra/qat/quantizers.h"
#include "lutra/runtime/error.h"
#include "tests/qat/random_values.h"
#include "tests/temp_dir.h"

namespace lutra::qat {
namespace {

// Rows of two blocks and a shorter one.
constexpr size_t kScaledRows = 5;
constexpr size_t kScaledColumns = 22;
constexpr size_t kBlock = 8;
constexpr size_t kBlocks = 3;  // of a row
constexpr double kWeightRate = 0.05;
constexpr double kScaleRate = 0.5;

struct ScaledWeight {
  explicit ScaledWeight(size_t row_count = kScaledRows)
      : rows(row_count),
        w(RandomValues(rows * kScaledColumns, 1)),
        gradient(RandomValues(w.size(), 2)) {}
  ParamGroup Group(int bits) {
    ParamGroup group;
    group.lr = kWeightRate;
    group.weight_decay = 0.1;
    group.quant_bits = bits;
    group.quant_block_size = kBlock;
    group.parameters.push_back({"w",
                                {static_cast<int64_t>(rows), kScaledColumns},
                                w.data(),
                                gradient.data(),
                                true});
    return group;
  }
  size_t rows;
  std::vector<float> w;
  std::vector<float> gradient;
};

QuantOptimizerOptions Learned() {
  QuantOptimizerOptions options;
  options.per_channel = true;
  options.short_last_blocks = true;
  options.learned_scales = true;
  options.scale_rate = kScaleRate;
  return options;
}

std::unique_ptr<QuantOptimizer> MakeOptimizer(
    ScaledWeight& weight, const QuantOptimizerOptions& options = Learned()) {
  return std::make_unique<QuantOptimizer>(
      MakeAdamW({weight.Group(2)}, {}), MakeStretchedQuantizer(),
      MakeProxParq({2, 6, 10.0, 0.5}), options);
}

// The definition in double, with plain gradient descent, block by block: levels
// -1.5 s, -s/2, s/2, 1.5 s.
TEST(LearnedScalesTest, FollowTheirFormula) {
  ScaledWeight weight;
  std::vector<double> latent(weight.w.begin(), weight.w.end());
  ParamGroup group = weight.Group(2);
  group.weight_decay = 0.0;
  QuantOptimizer optimizer(MakeSgd({group}, {}), MakeStretchedQuantizer(),
                           MakeProxHardQuant(), Learned());
  std::vector<double> log_scales;
  const auto level = [](double w, double s) {
    const double k = std::clamp(std::floor(w / s), -2.0, 1.0);
    return (k + 0.5) * s;
  };
  for (int step = 0; step < 4; ++step) {
    optimizer.Step(nullptr);
    std::vector<double> slopes(log_scales.size());
    size_t clipped = 0;
    for (size_t i = 0; i < latent.size() && step > 0; ++i) {
      const size_t row = i / kScaledColumns;
      const size_t block = row * kBlocks + i % kScaledColumns / kBlock;
      const double s = std::exp(log_scales[block]);
      const double q = level(latent[i], s);
      const bool outside = std::fabs(latent[i]) > 1.5 * s;
      clipped += outside;
      slopes[block] += weight.gradient[i] * (outside ? q : q - latent[i]);
    }
    if (step > 0) {
      EXPECT_GT(clipped, 3u);
    }
    for (size_t i = 0; i < latent.size(); ++i) {
      latent[i] -= kWeightRate * weight.gradient[i];
    }
    if (step == 0) {
      // To begin with, the quantizer's: the mean magnitude twice over 1.5.
      for (size_t block = 0; block < kScaledRows * kBlocks; ++block) {
        const size_t begin =
            block / kBlocks * kScaledColumns + block % kBlocks * kBlock;
        const size_t n =
            block % kBlocks == 2 ? kScaledColumns % kBlock : kBlock;
        double sum = 0.0;
        double max = 0.0;
        for (size_t i = begin; i < begin + n; ++i) {
          sum += std::fabs(latent[i]);
          max = std::max(max, std::fabs(latent[i]));
        }
        const double mean = sum / static_cast<double>(n);
        log_scales.push_back(std::log(std::min(2.0 * mean, max) / 1.5));
      }
    }
    for (size_t block = 0; block < slopes.size(); ++block) {
      log_scales[block] -= kWeightRate * kScaleRate * slopes[block];
    }
    for (size_t i = 0; i < latent.size(); ++i) {
      const size_t block =
          i / kScaledColumns * kBlocks + i % kScaledColumns / kBlock;
      EXPECT_NEAR(weight.w[i], level(latent[i], std::exp(log_scales[block])),
                  1e-5)
          << step << " " << i;
    }
  }
}

// Any map may pull the weights; at the end they are odd multiples of half a
// scale, rounded once, which is what packing undoes without loss.
TEST(LearnedScalesTest, WeightsEndOnTheGrid) {
  ScaledWeight weight;
  const auto optimizer = MakeOptimizer(weight);
  for (int step = 0; step < 8; ++step) optimizer->Step(nullptr);
  const Span<const float> grids = optimizer->Grids("w");
  ASSERT_EQ(grids.size(), kScaledRows * kBlocks * 4);
  for (size_t i = 0; i < weight.w.size(); ++i) {
    // Grids of the short blocks come last.
    const size_t row = i / kScaledColumns;
    const size_t block = i % kScaledColumns / kBlock;
    const size_t grid = block == 2 ? kScaledRows * 2 + row : row * 2 + block;
    const float half = grids[grid * 4 + 2];
    EXPECT_EQ(half, -grids[grid * 4 + 1]);
    EXPECT_EQ(3.0f * half, grids[grid * 4 + 3]);
    EXPECT_THAT(std::fabs(weight.w[i]), ::testing::AnyOf(half, 3.0f * half));
  }
}

TEST(LearnedScalesTest, AreNotDecayed) {
  ScaledWeight weight;
  weight.gradient.assign(weight.gradient.size(), 0.0f);
  const auto optimizer = MakeOptimizer(weight);
  optimizer->Step(nullptr);
  const std::vector<float> before = optimizer->state()["w"]["log_scale"];
  for (int step = 0; step < 5; ++step) optimizer->Step(nullptr);
  EXPECT_EQ(optimizer->state()["w"]["log_scale"], before);
}

TEST(LearnedScalesTest, ThreadsAndInterruptionsDoNotChangeTheBits) {
  constexpr size_t kMany = 1500;  // more than one piece of work
  ScaledWeight alone(kMany);
  const auto reference = MakeOptimizer(alone);
  for (int step = 0; step < 8; ++step) reference->Step(nullptr);
  TempDir temp;
  for (const int interrupted_at : {0, 1, 4}) {
    const std::unique_ptr<Executor> team = StartThreadTeam(3);
    ScaledWeight weight(kMany);
    auto optimizer = MakeOptimizer(weight);
    for (int step = 0; step < 8; ++step) {
      if (step == interrupted_at) {
        SaveState(temp / "state.safetensors", *optimizer);
        optimizer = MakeOptimizer(weight);
        LoadState(temp / "state.safetensors", *optimizer);
      }
      optimizer->Step(team.get());
    }
    EXPECT_EQ(weight.w, alone.w);
    EXPECT_EQ(optimizer->state(), reference->state());
  }
  // A state without the scales is not one of this run.
  QuantOptimizerOptions without = Learned();
  without.learned_scales = false;
  const auto other = MakeOptimizer(alone, without);
  EXPECT_THROW(LoadState(temp / "state.safetensors", *other), Error);
}

TEST(LearnedScalesTest, NeedATableAndARate) {
  ScaledWeight weight;
  QuantOptimizerOptions still = Learned();
  still.scale_rate = 0.0;
  EXPECT_THROW(MakeOptimizer(weight, still), Error);
  try {
    const QuantOptimizer optimizer(MakeAdamW({weight.Group(2)}, {}),
                                   MakeQuantizer("lsbq"), MakeProxHardQuant(),
                                   Learned());
    FAIL() << "is taken";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(),
                ::testing::HasSubstr(
                    "'lsbq' has no fixed table, so its scales cannot be "
                    "learned"));
  }
}

}  // namespace
}  // namespace lutra::qat
