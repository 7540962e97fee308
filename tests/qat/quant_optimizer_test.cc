#include "lutra/qat/quant_optimizer.h"
#include "lutra/kernels/thread_team.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "lutra/qat/base_optimizers.h"
#include "lutra/qat/optimizer_state.h"
#include "lutra/qat/prox_maps.h"
#include "lutra/qat/quantizers.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/random.h"
#include "lutra/runtime/safetensors.h"
#include "tests/qat/random_values.h"
#include "tests/temp_dir.h"

namespace lutra::qat {
namespace {

constexpr int64_t kProblemRows = 96;
constexpr int64_t kProblemColumns = 160;
constexpr size_t kProblemSize = kProblemRows * kProblemColumns;

// A weight and a bias whose gradients are a function of the step.
struct Problem {
  std::vector<float> w = RandomValues(kProblemSize, 1, 0.1f);
  std::vector<float> b = RandomValues(kProblemRows, 2);
  std::vector<float> grad_w = std::vector<float>(kProblemSize);
  std::vector<float> grad_b = std::vector<float>(kProblemRows);

  std::vector<ParamGroup> Groups(int bits = 2, int64_t block = 32) {
    ParamGroup quantized;
    quantized.lr = 0.01;
    quantized.weight_decay = 0.05;
    quantized.quant_bits = bits;
    if (block > 0) quantized.quant_block_size = block;
    quantized.parameters.push_back(
        {"w", {kProblemRows, kProblemColumns}, w.data(), grad_w.data(), true});
    ParamGroup others;
    others.lr = 0.01;
    others.parameters.push_back(
        {"b", {kProblemRows}, b.data(), grad_b.data(), true});
    return {quantized, others};
  }

  void Step(Optimizer& optimizer, int step, Executor* executor = nullptr) {
    grad_w = RandomValues(kProblemSize, 100 + static_cast<uint32_t>(step));
    grad_b = RandomValues(kProblemRows, 200 + static_cast<uint32_t>(step));
    // The vectors keep their storage: assignment of equal sizes.
    for (ParamGroup& group : optimizer.groups()) {
      for (Parameter& p : group.parameters) {
        p.grad = p.name == "w" ? grad_w.data() : grad_b.data();
      }
    }
    optimizer.Step(executor);
  }
};

QuantOptimizerOptions PerChannel() {
  QuantOptimizerOptions options;
  options.per_channel = true;
  options.quant_period = 3;
  return options;
}

std::unique_ptr<QuantOptimizer> MakeParq(
    Problem& problem, QuantOptimizerOptions options = PerChannel()) {
  return std::make_unique<QuantOptimizer>(
      MakeAdamW(problem.Groups(), {}), MakeStretchedQuantizer(),
      MakeProxParq({2, 8, 10.0, 0.5}), std::move(options));
}

TEST(QuantOptimizerTest, ThreadsDoNotChangeTheBits) {
  Problem alone;
  auto single = MakeParq(alone);
  for (int step = 0; step < 12; ++step) alone.Step(*single, step);
  for (const size_t threads : {2u, 3u, 7u}) {
    const std::unique_ptr<Executor> team = StartThreadTeam(threads);
    Problem shared;
    auto optimizer = MakeParq(shared);
    for (int step = 0; step < 12; ++step)
      shared.Step(*optimizer, step, team.get());
    EXPECT_EQ(shared.w, alone.w);
    EXPECT_EQ(shared.b, alone.b);
    EXPECT_EQ(optimizer->state(), single->state());
  }
}

TEST(QuantOptimizerTest, WarmUpIsTheBaseOptimizer) {
  Problem plain;
  auto base = MakeAdamW(plain.Groups(), {});
  Problem quantized;
  QuantOptimizerOptions options = PerChannel();
  options.warmup_steps = 4;
  auto optimizer = MakeParq(quantized, options);
  for (int step = 0; step < 4; ++step) {
    plain.Step(*base, step);
    quantized.Step(*optimizer, step);
    EXPECT_EQ(plain.w, quantized.w);
    EXPECT_TRUE(optimizer->Latent("w").empty());
  }
  plain.Step(*base, 4);
  quantized.Step(*optimizer, 4);
  const auto latent = optimizer->Latent("w");
  EXPECT_EQ(std::vector<float>(latent.begin(), latent.end()), plain.w);
  EXPECT_EQ(optimizer->num_steps(), 5);
}

TEST(QuantOptimizerTest, FloatGroupsAreUntouched) {
  Problem plain;
  auto base = MakeAdamW(plain.Groups(), {});
  Problem quantized;
  auto optimizer = MakeParq(quantized);
  for (int step = 0; step < 5; ++step) {
    plain.Step(*base, step);
    quantized.Step(*optimizer, step);
  }
  EXPECT_EQ(plain.b, quantized.b);
  EXPECT_TRUE(optimizer->Latent("b").empty());
  EXPECT_FALSE(optimizer->groups()[1].cumu_lr.has_value());
}

TEST(QuantOptimizerTest, WeightsEndOnTheGrids) {
  Problem problem;
  auto optimizer = MakeParq(problem);
  for (int step = 0; step < 10; ++step) problem.Step(*optimizer, step);
  const auto grids = optimizer->Grids("w");
  ASSERT_EQ(grids.size(), kProblemSize / 32 * 4);
  for (size_t i = 0; i < kProblemSize; ++i) {
    const float* grid = grids.data() + i / 32 * 4;
    EXPECT_NE(std::find(grid, grid + 4, problem.w[i]), grid + 4) << i;
  }
}

TEST(QuantOptimizerTest, LatentsCanBeRestored) {
  Problem problem;
  auto optimizer = MakeParq(problem);
  for (int step = 0; step < 10; ++step) problem.Step(*optimizer, step);
  optimizer->RestoreLatents();
  const auto latent = optimizer->Latent("w");
  EXPECT_TRUE(std::equal(latent.begin(), latent.end(), problem.w.begin()));
}

TEST(QuantOptimizerTest, WithoutQuantizedGroupsItIsTheBase) {
  Problem plain;
  auto groups = plain.Groups(16);
  groups[0].quant_block_size.reset();
  QuantOptimizer optimizer(MakeSgd(groups, {}), MakeStretchedQuantizer(),
                           MakeProxHardQuant(), {});
  Problem other;
  auto base = MakeSgd(other.Groups(16), {});
  plain.Step(optimizer, 0);
  other.Step(*base, 0);
  EXPECT_EQ(plain.w, other.w);
}

TEST(QuantOptimizerTest, ParametersThatAreNotTrainableStay) {
  Problem problem;
  const std::vector<float> before = problem.w;
  auto groups = problem.Groups();
  groups[0].parameters[0].trainable = false;
  QuantOptimizer optimizer(MakeSgd(groups, {}), MakeStretchedQuantizer(),
                           MakeProxHardQuant(), PerChannel());
  problem.Step(optimizer, 0);
  EXPECT_EQ(problem.w, before);
}

TEST(QuantOptimizerTest, ParametersWithoutGradientAreQuantized) {
  Problem problem;
  auto groups = problem.Groups();
  groups[0].parameters[0].grad = nullptr;
  QuantOptimizer optimizer(MakeSgd(groups, {}), MakeStretchedQuantizer(),
                           MakeProxHardQuant(), PerChannel());
  const std::vector<float> before = problem.w;
  optimizer.Step(nullptr);
  EXPECT_NE(problem.w, before);
  const auto latent = optimizer.Latent("w");
  EXPECT_EQ(std::vector<float>(latent.begin(), latent.end()), before);
}

TEST(QuantOptimizerTest, EmptyParametersAreLeftAlone) {
  const TempDir temp;
  for (const std::vector<int64_t>& shape :
       {std::vector<int64_t>{0, 32}, std::vector<int64_t>{4, 0}}) {
    Problem problem;
    auto groups = problem.Groups();
    groups[0].parameters.push_back({"empty", shape, nullptr, nullptr, true});
    const auto make = [&groups] {
      return std::make_unique<QuantOptimizer>(
          MakeAdamW(groups, {}), MakeStretchedQuantizer(), MakeProxHardQuant(),
          PerChannel());
    };
    const auto optimizer = make();
    optimizer->Step(nullptr);
    EXPECT_TRUE(optimizer->Latent("empty").empty());
    SaveState(temp / "state.safetensors", *optimizer);
    EXPECT_NO_THROW(LoadState(temp / "state.safetensors", *make()));
  }
}

// Rows that end in a shorter block: as if the blocks of each kind were tensors
// of their own.
TEST(QuantOptimizerTest, ShortLastBlocks) {
  constexpr size_t kFew = 3;
  constexpr size_t kAcross = 11;
  constexpr size_t kBlock = 4;
  Random random(5);
  std::vector<float> w(kFew * kAcross);
  std::vector<float> grad(w.size());
  for (float& value : w) value = random.Symmetric();
  for (float& value : grad) value = random.Symmetric();
  const auto run = [](std::vector<float>& values, const std::vector<float>& g,
                      std::vector<int64_t> shape, int64_t block) {
    ParamGroup group;
    group.lr = 0.1;
    group.quant_bits = 2;
    group.quant_block_size = block;
    group.parameters.push_back({.name = "w",
                                .shape = std::move(shape),
                                .value = values.data(),
                                .grad = g.data()});
    QuantOptimizerOptions options;
    options.quant_period = 2;
    options.per_channel = true;
    options.short_last_blocks = true;
    auto optimizer = std::make_unique<QuantOptimizer>(
        MakeSgd({group}, {}), MakeStretchedQuantizer(), MakeProxHardQuant(),
        options);
    for (int i = 0; i < 3; ++i) optimizer->Step(nullptr);
    return optimizer;
  };
  const auto columns = [&](const std::vector<float>& values, size_t begin,
                           size_t end) {
    std::vector<float> part;
    for (size_t row = 0; row < kFew; ++row) {
      const float* from = values.data() + row * kAcross;
      part.insert(part.end(), from + begin, from + end);
    }
    return part;
  };
  std::vector<float> whole = columns(w, 0, 8);
  std::vector<float> rest = columns(w, 8, 11);
  run(whole, columns(grad, 0, 8), {kFew, 8}, kBlock);
  run(rest, columns(grad, 8, 11), {kFew, 3}, 3);
  const auto optimizer = run(w, grad, {kFew, kAcross}, kBlock);
  EXPECT_EQ(columns(w, 0, 8), whole);
  EXPECT_EQ(columns(w, 8, 11), rest);
  // Four levels for each of two blocks and a short one in each row.
  EXPECT_EQ(optimizer->Grids("w").size(), kFew * 3 * 4);
  TempDir temp;
  SaveState(temp / "state.safetensors", *optimizer);
  EXPECT_NO_THROW(LoadState(temp / "state.safetensors", *optimizer));
}

// In the middle of annealing, over blocks and shorter ones.
TEST(QuantOptimizerTest, DistanceFromTheGrid) {
  constexpr size_t kFew = 3;
  constexpr size_t kAcross = 11;
  constexpr size_t kBlock = 4;
  std::vector<float> w = RandomValues(kFew * kAcross, 3);
  const std::vector<float> grad = RandomValues(w.size(), 4);
  ParamGroup group;
  group.lr = 0.1;
  group.quant_bits = 2;
  group.quant_block_size = kBlock;
  group.parameters.push_back({.name = "w",
                              .shape = {kFew, kAcross},
                              .value = w.data(),
                              .grad = grad.data()});
  QuantOptimizerOptions options;
  options.per_channel = true;
  options.short_last_blocks = true;
  QuantOptimizer optimizer(MakeSgd({group}, {}), MakeStretchedQuantizer(),
                           MakeProxParq({0, 6, 10.0, 0.5}), options);
  EXPECT_EQ(optimizer.GridDistance("w", nullptr), std::nullopt);
  for (int i = 0; i < 4; ++i) optimizer.Step(nullptr);
  const auto grids = optimizer.Grids("w");
  double distance = 0.0;
  double values = 0.0;
  for (size_t i = 0; i < w.size(); ++i) {
    const size_t row = i / kAcross;
    const size_t block = i % kAcross / kBlock;
    // Grids of short blocks come after the others.
    const size_t grid = block == 2 ? kFew * 2 + row : row * 2 + block;
    double nearest = 1e9;
    for (size_t level = 0; level < 4; ++level) {
      nearest = std::min(
          nearest, std::fabs(static_cast<double>(w[i]) -
                             static_cast<double>(grids[grid * 4 + level])));
    }
    distance += nearest * nearest;
    values += static_cast<double>(w[i]) * static_cast<double>(w[i]);
  }
  EXPECT_GT(distance, 1e-3);
  EXPECT_NEAR(optimizer.GridDistance("w", nullptr).value(),
              std::sqrt(distance / values), 1e-9);
  for (int i = 0; i < 4; ++i) optimizer.Step(nullptr);
  EXPECT_EQ(optimizer.GridDistance("w", nullptr), 0.0);
  EXPECT_EQ(optimizer.GridDistance("v", nullptr), std::nullopt);
}

TEST(QuantOptimizerTest, RefusesWhatCannotWork) {
  const auto make = [](int bits, int64_t block,
                       const QuantOptimizerOptions& options) {
    Problem problem;
    QuantOptimizer optimizer(MakeSgd(problem.Groups(bits, block), {}),
                             MakeStretchedQuantizer(), MakeProxHardQuant(),
                             options);
  };
  QuantOptimizerOptions options;
  EXPECT_NO_THROW(make(2, 32, options));
  EXPECT_THROW(make(2, 33, options), Error);   // does not divide
  EXPECT_THROW(make(12, 32, options), Error);  // bits
  EXPECT_THROW(make(-1, 32, options), Error);
  options.quant_period = 0;
  EXPECT_THROW(make(2, 32, options), Error);
  options = {};
  options.warmup_steps = -1;
  EXPECT_THROW(make(2, 32, options), Error);
  options = {};
  options.anneal_wd_frac = 1.5;
  EXPECT_THROW(make(2, 32, options), Error);
}

TEST(QuantOptimizerTest, BadGroupsAreFoundBeforeAStepChangesAnything) {
  Problem problem;
  auto optimizer = MakeParq(problem);
  const std::vector<float> before = problem.w;
  optimizer->groups()[0].quant_block_size = 7;
  EXPECT_THROW(problem.Step(*optimizer, 0), Error);
  EXPECT_EQ(problem.w, before);
  EXPECT_EQ(optimizer->num_steps(), 0);
}

TEST(BaseOptimizerTest, RefusesBadParameters) {
  Problem problem;
  auto groups = problem.Groups();
  groups[1].parameters[0].name = "w";
  EXPECT_THROW(MakeSgd(groups, {}), Error);
  groups = problem.Groups();
  groups[1].parameters[0].value = problem.w.data();
  EXPECT_THROW(MakeAdam(groups, {}), Error);
  groups = problem.Groups();
  groups[1].parameters[0].shape = {-1};
  EXPECT_THROW(MakeAdamW(groups, {}), Error);
  EXPECT_THROW(MakeAdamW(problem.Groups(), {1.0, 0.9, 1e-8}), Error);
  SgdOptions sgd;
  sgd.nesterov = true;
  EXPECT_THROW(MakeSgd(problem.Groups(), sgd), Error);
}

// The formulas of the header, in double.
TEST(BaseOptimizerTest, FollowTheirFormulas) {
  std::vector<float> w = {1.0f};
  std::vector<float> g = {0.5f};
  ParamGroup group;
  group.lr = 0.1;
  group.weight_decay = 0.2;
  group.parameters.push_back({"w", {1}, w.data(), g.data(), true});
  SgdOptions sgd;
  sgd.momentum = 0.9;
  sgd.dampening = 0.5;
  auto optimizer = MakeSgd({group}, sgd);
  optimizer->Step(nullptr);  // g = 0.7, m = 0.7
  EXPECT_NEAR(w[0], 0.93, 1e-6);
  optimizer->Step(nullptr);  // g = 0.686, m = 0.63 + 0.343
  EXPECT_NEAR(w[0], 0.93 - 0.0973, 1e-6);

  w = {1.0f};
  group.parameters[0].value = w.data();
  optimizer = MakeAdamW({group}, {});
  optimizer->Step(nullptr);  // m / sqrt(v) is 1 in the first step
  EXPECT_NEAR(w[0], 0.98 - 0.1, 1e-6);
  w = {1.0f};
  group.parameters[0].value = w.data();
  optimizer = MakeAdam({group}, {});
  optimizer->Step(nullptr);
  EXPECT_NEAR(w[0], 0.9, 1e-6);
}

class OptimizerStateTest : public testing::Test {
 protected:
  // Everything LoadState must leave alone when it fails.
  void ExpectRefused(Optimizer& optimizer, const std::string& cause) {
    const auto state = optimizer.state();
    const double lr = optimizer.groups()[0].lr;
    try {
      LoadState(path_, optimizer);
      FAIL() << "loaded, expected: " << cause;
    } catch (const Error& error) {
      const std::string what = error.what();
      EXPECT_NE(what.find(cause), std::string::npos) << what;
      EXPECT_NE(what.find(path_.filename().string()), std::string::npos)
          << what;
      EXPECT_EQ(what.find('\n'), std::string::npos);
    }
    EXPECT_EQ(optimizer.state(), state);
    EXPECT_EQ(optimizer.groups()[0].lr, lr);
  }

  TempDir temp_;
  std::filesystem::path path_ = temp_ / "state.safetensors";
};

TEST_F(OptimizerStateTest, ResumedRunHasTheSameBits) {
  for (const int interrupted_at : {0, 1, 3, 5, 9}) {
    Problem straight;
    QuantOptimizerOptions options = PerChannel();
    options.warmup_steps = 2;
    options.shrink = true;
    options.anneal_wd_frac = 0.5;
    auto reference = MakeParq(straight, options);
    Problem broken;
    auto first = MakeParq(broken, options);
    for (int step = 0; step < 12; ++step) {
      if (step == interrupted_at) {
        SaveState(path_, *first, {{"epoch", "3"}});
        first = MakeParq(broken, options);
        EXPECT_EQ(LoadState(path_, *first).at("epoch"), "3");
      }
      straight.Step(*reference, step);
      broken.Step(*first, step);
    }
    EXPECT_EQ(straight.w, broken.w);
    EXPECT_EQ(straight.b, broken.b);
    EXPECT_EQ(reference->state(), first->state());
    EXPECT_EQ(reference->groups()[0].weight_decay,
              first->groups()[0].weight_decay);
  }
}

TEST_F(OptimizerStateTest, LatentsMakeTheModelsWeightsIrrelevant) {
  Problem a;
  auto optimizer = MakeParq(a);
  for (int step = 0; step < 4; ++step) a.Step(*optimizer, step);
  SaveState(path_, *optimizer);
  Problem b;
  b.w.assign(kProblemSize, 77.0f);
  b.b = a.b;
  auto resumed = MakeParq(b);
  LoadState(path_, *resumed);
  a.Step(*optimizer, 4);
  b.Step(*resumed, 4);
  EXPECT_EQ(a.w, b.w);
}

TEST_F(OptimizerStateTest, BaseOptimizersAlone) {
  Problem a;
  SgdOptions options;
  options.momentum = 0.9;
  auto optimizer = MakeSgd(a.Groups(), options);
  a.Step(*optimizer, 0);
  SaveState(path_, *optimizer);
  Problem b;
  b.w = a.w;
  b.b = a.b;
  auto resumed = MakeSgd(b.Groups(), options);
  LoadState(path_, *resumed);
  a.Step(*optimizer, 1);
  b.Step(*resumed, 1);
  EXPECT_EQ(a.w, b.w);
}

TEST_F(OptimizerStateTest, MismatchesAreRefused) {
  Problem problem;
  auto saved = MakeParq(problem);
  for (int step = 0; step < 4; ++step) problem.Step(*saved, step);
  SaveState(path_, *saved);

  Problem other;
  auto adam = MakeAdamW(other.Groups(), {});
  ExpectRefused(*adam, "is of optimizer 'quant-adamw', not 'adamw'");

  auto make = [&](std::vector<ParamGroup> groups) {
    return QuantOptimizer(MakeAdamW(std::move(groups), {}),
                          MakeStretchedQuantizer(), MakeProxHardQuant(),
                          PerChannel());
  };
  auto groups = other.Groups();
  groups.pop_back();
  QuantOptimizer fewer = make(groups);
  ExpectRefused(fewer, "parameter groups");
  groups = other.Groups();
  groups[0].parameters[0].name = "v";
  QuantOptimizer renamed = make(groups);
  ExpectRefused(renamed, "parameter 'w' where 'v' is");
  groups = other.Groups();
  groups[0].parameters[0].shape = {kProblemColumns, kProblemRows};
  QuantOptimizer reshaped = make(groups);
  ExpectRefused(reshaped, "shape");
  groups = other.Groups();
  groups[0].quant_bits = 4;
  QuantOptimizer rebits = make(groups);
  ExpectRefused(rebits, "other bits");
}

TEST_F(OptimizerStateTest, DamagedFilesAreRefused) {
  Problem problem;
  auto saved = MakeParq(problem);
  problem.Step(*saved, 0);
  SaveState(path_, *saved);
  const auto size = std::filesystem::file_size(path_);
  std::filesystem::resize_file(path_, size - 1);
  ExpectRefused(*saved, "");
  std::filesystem::resize_file(path_, 4);
  ExpectRefused(*saved, "");
  std::filesystem::remove(path_);
  ExpectRefused(*saved, "");
}

// Rewrites the description of a good file.
TEST_F(OptimizerStateTest, DamagedDescriptionsAreRefused) {
  Problem problem;
  auto saved = MakeParq(problem);
  problem.Step(*saved, 0);
  SaveState(path_, *saved);
  const SafetensorsFile good = SafetensorsFile::Open(path_);
  const std::string key(kOptimizerStateKey);
  const std::string text = good.metadata().at(key);
  const auto damage = [&](const std::string& from, const std::string& to,
                          const std::string& cause) {
    std::string changed = text;
    const size_t at = changed.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    changed.replace(at, from.size(), to);
    const std::filesystem::path bad = temp_ / "bad.safetensors";
    std::vector<TensorInfo> tensors(good.tensors().begin(),
                                    good.tensors().end());
    SafetensorsWriter writer(bad, {{key, changed}}, tensors);
    for (const TensorView& tensor : good.tensors()) {
      writer.Write(tensor.name, tensor.data);
    }
    writer.Commit();
    path_ = bad;
    ExpectRefused(*saved, cause);
  };
  damage("{", "[", "JSON");
  damage("\"version\":1", "\"version\":2", "version");
  damage("\"version\":1", "\"version\":\"1\"", "version");
  damage("\"num_steps\":1", "\"num_steps\":-1", "num_steps");
  damage("\"num_steps\":1", "\"num_steps\":1.5", "num_steps");
  damage("\"num_steps\":1", "\"num_steps\":99999999999999999999", "num_steps");
  damage("\"lr\":0.01", "\"lr\":null", "lr");
  damage("\"latent\"", "\"patent\"", "missing");
  damage("\"exp_avg\",", "", "exp_avg");
  damage("[96,160]", "[96,161]", "shape");
  damage("[96,160]", "[96,-160]", "shape");
}

TEST_F(OptimizerStateTest, NothingIsWrittenForNumbersThatAreNotFinite) {
  Problem problem;
  auto optimizer = MakeParq(problem);
  optimizer->groups()[0].lr = std::numeric_limits<double>::infinity();
  EXPECT_THROW(SaveState(path_, *optimizer), Error);
  EXPECT_TRUE(std::filesystem::is_empty(temp_.path()));
}

}  // namespace
}  // namespace lutra::qat
