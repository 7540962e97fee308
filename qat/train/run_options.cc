#include "qat/train/run_options.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <utility>

#include "lutra/qat/base_optimizers.h"
#include "lutra/runtime/error.h"
#include "runtime/base/unknown_word.h"

namespace lutra::qat {
namespace {

// In the order of OptimizerKind.
constexpr std::array<std::string_view, 3> kOptimizers = {"adamw", "adam",
                                                         "sgd"};

int64_t Steps(double epochs, int64_t steps_per_epoch) {
  return std::llround(epochs * static_cast<double>(steps_per_epoch));
}

}  // namespace

std::string_view Name(OptimizerKind kind) {
  return kOptimizers[static_cast<size_t>(kind)];
}

OptimizerKind ParseOptimizerKind(std::string_view name) {
  const auto found = std::find(kOptimizers.begin(), kOptimizers.end(), name);
  if (found == kOptimizers.end()) {
    throw Error(UnknownWord("optimizer", name, kOptimizers));
  }
  return static_cast<OptimizerKind>(found - kOptimizers.begin());
}

void CheckOptions(const TrainOptions& options) {
  const auto positive = [](double value) {
    return std::isfinite(value) && value > 0.0;
  };
  const auto not_negative = [](double value) {
    return std::isfinite(value) && value >= 0.0;
  };
  if (options.epochs < 1) throw Error("epochs must be at least 1");
  if (options.steps < 0) throw Error("the steps must not be negative");
  if (options.batch_size < 1) throw Error("the batch size must be at least 1");
  if (options.shards < 1 || options.shards > options.batch_size) {
    throw Error("a step of " + std::to_string(options.batch_size) +
                " samples cannot have " + std::to_string(options.shards) +
                " shards");
  }
  if (!positive(options.learning_rate)) {
    throw Error("the learning rate must be above 0");
  }
  if (!not_negative(options.weight_decay)) {
    throw Error("the weight decay must not be negative");
  }
  if (!not_negative(options.warmup_epochs)) {
    throw Error("the warm-up must not be negative");
  }
  if (!not_negative(options.clip)) {
    throw Error("the largest norm of gradients must not be negative");
  }
  if (!(options.average >= 0.0 && options.average < 1.0)) {
    throw Error("the decay of the weights' average must be in [0, 1)");
  }
  if (!(options.decay_share > 0.0 && options.decay_share <= 1.0)) {
    throw Error("the share of the rate's decay must be in (0, 1]");
  }
  if (!(options.rate_floor >= 0.0 && options.rate_floor <= 1.0)) {
    throw Error("the lowest rate must be in [0, 1] of the highest");
  }
  if (options.range_period < 1) {
    throw Error("the steps between looks at ranges must be at least 1");
  }
  if (options.checkpoint_steps < 0) {
    throw Error("the steps between checkpoints must not be negative");
  }
}

ParqSchedule MakeSchedule(const QuantizedTraining& quantization,
                          int64_t steps_per_epoch, int64_t total_steps) {
  ParqSchedule schedule;
  schedule.start = Steps(quantization.anneal_start, steps_per_epoch);
  schedule.end = Steps(quantization.anneal_end, steps_per_epoch);
  schedule.steepness = quantization.anneal_steepness;
  if (quantization.prox_map == "parq" &&
      !(schedule.steepness >= 1.0 && schedule.steepness <= 100.0)) {
    throw Error(
        "the steepness of annealing must be in [1, 100]: below, the slope "
        "falls in a line whatever it is, and above, all at once");
  }
  if (quantization.prox_map != "hard" &&
      (schedule.start < 0 || schedule.end <= schedule.start ||
       schedule.end >= total_steps)) {
    throw Error(
        "annealing must start before it ends, and end before training "
        "does: it takes steps " +
        std::to_string(schedule.start) + " to " + std::to_string(schedule.end) +
        " of " + std::to_string(total_steps));
  }
  return schedule;
}

std::shared_ptr<const ProxMap> MakeProxMap(const std::string& name,
                                           const ParqSchedule& schedule,
                                           uint64_t seed) {
  if (name == "parq") return MakeProxParq(schedule);
  if (name == "hard") return MakeProxHardQuant();
  if (name == "binaryrelax") {
    return MakeProxBinaryRelax(schedule.start, schedule.end);
  }
  if (name == "stochastic") {
    return MakeProxStochastic(schedule.start, schedule.end, seed);
  }
  throw Error("no proximal map '" + name +
              "'; there are parq, hard, binaryrelax and stochastic");
}

// The first step of a warm-up is the first of its equal parts already.
LearningRateSchedule MakeRateSchedule(const TrainOptions& options,
                                      int64_t steps_per_epoch,
                                      int64_t total_steps) {
  const int64_t warmup =
      std::min(Steps(options.warmup_epochs, steps_per_epoch), total_steps - 1);
  LearningRateSchedule schedule;
  if (warmup > 0) {
    schedule.warmup = warmup - 1;
    schedule.warmup_start = 1.0 / static_cast<double>(warmup);
  }
  const int64_t left = total_steps - warmup;
  schedule.decay = options.rate_decay;
  schedule.decay_steps = std::clamp<int64_t>(
      std::llround(options.decay_share * static_cast<double>(total_steps)), 1,
      left);
  schedule.level = left - schedule.decay_steps + (warmup > 0 ? 1 : 0);
  schedule.floor = options.rate_floor;
  return schedule;
}

std::unique_ptr<Optimizer> MakeBaseOptimizer(const TrainOptions& options,
                                             std::vector<ParamGroup> groups) {
  const AdamOptions adam{options.beta1, options.beta2, options.epsilon};
  switch (options.optimizer) {
    case OptimizerKind::kAdamW:
      return MakeAdamW(std::move(groups), adam);
    case OptimizerKind::kAdam:
      return MakeAdam(std::move(groups), adam);
    case OptimizerKind::kSgd:
      return MakeSgd(std::move(groups), {.momentum = options.momentum,
                                         .nesterov = options.momentum > 0.0});
  }
  return nullptr;
}

ClassificationOptions LossOptions(const TrainOptions& options) {
  ClassificationOptions loss;
  loss.label_smoothing = options.label_smoothing;
  loss.distillation = options.distillation;
  loss.temperature = options.temperature;
  return loss;
}

}  // namespace lutra::qat
