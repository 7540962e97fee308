#include "lutra/qat/scale_tuner.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <string>
#include <utility>

#include "kernels/base/parallel.h"
#include "lutra/qat/base_optimizers.h"
#include "lutra/qat/gradient_clip.h"
#include "lutra/qat/learning_rate.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/random.h"
#include "qat/train/loss_head.h"

namespace lutra::qat {
namespace {

ClassificationOptions OnlyTeacher() {
  ClassificationOptions options;
  options.distillation = 1.0;
  return options;
}

LearningRateSchedule Schedule(int64_t steps) {
  LearningRateSchedule schedule;
  schedule.warmup = std::max<int64_t>(1, steps / 10);
  schedule.decay = LearningRateSchedule::Decay::kCosine;
  schedule.decay_steps = std::max<int64_t>(1, steps - schedule.warmup);
  schedule.floor = 0.1;
  return schedule;
}

}  // namespace

void ScaledWeight::Dequantize(float* w) const {
  for (size_t i = 0; i < levels.size(); ++i) {
    const size_t group = i / k * Groups() + i % k / group_size;
    w[i] = scales[group] * static_cast<float>(levels[i]);
    if (!offsets.empty()) w[i] += offsets[group];
  }
}

class ScaleTuner::Impl {
 public:
  Impl(TrainableModel& student, std::vector<ScaledWeight>& weights,
       const TrainableModel& teacher, const Samples& samples,
       const ScaleTunerOptions& options)
      : student_(student),
        weights_(weights),
        samples_(samples),
        options_(options),
        head_(student.graph, student.parameters, OnlyTeacher(),
              options.executor) {
    samples.CheckGraph(student.graph, head_.classes());
    head_.SetTeacher(teacher.graph, teacher.parameters);
    batch_size_ = std::min(options.batch_size, samples.Count());
    memory_ = head_.Reserve(batch_size_, samples.RowsOfSample());
    for (ScaledWeight& weight : weights) {
      Check(weight);
      AddFactors(weight.name, weight.scales.size());
      start_scales_.push_back(weight.scales);
      weight.Dequantize(Parameter(weight.name));
    }
    for (const Node& node : student.graph.nodes) {
      const bool is_norm =
          node.op == OpType::kRmsNorm || node.op == OpType::kLayerNorm;
      if (!is_norm || node.weight.empty() || factors_.contains(node.weight)) {
        continue;
      }
      gains_.emplace_back(node.weight,
                          student.parameters.find(node.weight)->second.values);
      AddFactors(node.weight, gains_.back().second.size());
    }
    ParamGroup group;
    group.lr = options.learning_rate;
    for (auto& [name, factors] : factors_) {
      Tensor& gradients = gradients_.find(name)->second;
      group.parameters.push_back({.name = name,
                                  .shape = factors.shape,
                                  .value = factors.values.data(),
                                  .grad = gradients.values.data()});
      memory_ += 4 * factors.values.size() * sizeof(float);
    }
    AdamOptions adam;
    adam.beta2 = 0.95;
    optimizer_ = MakeAdam({std::move(group)}, adam);
  }

  size_t MemoryBytes() const { return memory_; }

  void Run(const Progress& progress) {
    const LearningRateSchedule schedule = Schedule(options_.steps);
    const size_t steps_per_epoch =
        std::max<size_t>(1, samples_.Count() / batch_size_);
    std::vector<uint32_t> order(samples_.Count());
    SampleBatch batch;
    for (int64_t step = 0; step < options_.steps; ++step) {
      const auto epoch = static_cast<uint64_t>(step) / steps_per_epoch;
      const size_t place = static_cast<size_t>(step) % steps_per_epoch;
      if (place == 0) {
        std::iota(order.begin(), order.end(), uint32_t{0});
        Random random(options_.seed, epoch);
        Shuffle(order, random);
      }
      batch.Clear();
      samples_.Load({order.data() + place * batch_size_, batch_size_},
                    epoch + 1, batch);
      const double loss = Learn(batch);
      if (!std::isfinite(loss)) {
        throw Error("the loss of step " + std::to_string(step + 1) +
                    " is not finite");
      }
      optimizer_->groups()[0].lr =
          options_.learning_rate * schedule.Factor(step);
      optimizer_->Step(options_.executor);
      ApplyFactors();
      if (progress) progress(step + 1, loss);
    }
  }

 private:
  float* Parameter(const std::string& name) {
    return student_.parameters.find(name)->second.values.data();
  }

  void Check(const ScaledWeight& weight) const {
    const auto parameter = student_.parameters.find(weight.name);
    if (parameter == student_.parameters.end()) {
      throw Error("the model has no weight '" + weight.name + "'");
    }
    const size_t size = parameter->second.values.size();
    if (weight.levels.size() != size || weight.k == 0 || size % weight.k != 0 ||
        weight.scales.size() != size / weight.k * weight.Groups() ||
        (!weight.offsets.empty() &&
         weight.offsets.size() != weight.scales.size())) {
      throw Error("the levels of '" + weight.name + "' do not fit its shape");
    }
  }

  void AddFactors(const std::string& name, size_t count) {
    Tensor ones({static_cast<int64_t>(count)});
    gradients_[name] = ones;
    std::fill(ones.values.begin(), ones.values.end(), 1.0f);
    factors_[name] = std::move(ones);
  }

  // The gradients of the factors; returns the mean loss.
  double Learn(const SampleBatch& batch) {
    head_.ClearGradients();
    const auto rows = static_cast<float>(batch.targets.size());
    const ClassificationLoss loss =
        head_.Run(batch.sequences, batch.Input(), batch.targets, 1 / rows);
    for (size_t w = 0; w < weights_.size(); ++w) ReduceToScales(w);
    for (const auto& [name, gain] : gains_) {
      const float* gradient =
          head_.gradients().find(name)->second.values.data();
      float* out = gradients_.find(name)->second.values.data();
      for (size_t i = 0; i < gain.size(); ++i) out[i] = gradient[i] * gain[i];
    }
    ClipGradients(gradients_, options_.clip, options_.executor);
    return loss.loss / static_cast<double>(rows);
  }

  void ReduceToScales(size_t w) {
    const ScaledWeight& weight = weights_[w];
    const float* gradient =
        head_.gradients().find(weight.name)->second.values.data();
    float* out = gradients_.find(weight.name)->second.values.data();
    const size_t groups = weight.Groups();
    const size_t rows = weight.levels.size() / weight.k;
    ParallelFor(options_.executor, rows, 64, [&](size_t row, size_t) {
      for (size_t g = 0; g < groups; ++g) {
        const size_t begin = g * weight.group_size;
        const size_t end = std::min(weight.k, begin + weight.group_size);
        float sum = 0;
        for (size_t i = row * weight.k + begin; i < row * weight.k + end; ++i) {
          sum += gradient[i] * static_cast<float>(weight.levels[i]);
        }
        out[row * groups + g] = sum * start_scales_[w][row * groups + g];
      }
    });
  }

  void ApplyFactors() {
    for (size_t w = 0; w < weights_.size(); ++w) {
      const float* factors =
          factors_.find(weights_[w].name)->second.values.data();
      std::vector<float>& scales = weights_[w].scales;
      for (size_t i = 0; i < scales.size(); ++i) {
        scales[i] = start_scales_[w][i] * factors[i];
      }
      weights_[w].Dequantize(Parameter(weights_[w].name));
    }
    for (const auto& [name, gain] : gains_) {
      const float* factors = factors_.find(name)->second.values.data();
      float* values = Parameter(name);
      for (size_t i = 0; i < gain.size(); ++i) values[i] = gain[i] * factors[i];
    }
  }

  TrainableModel& student_;
  std::vector<ScaledWeight>& weights_;
  const Samples& samples_;
  const ScaleTunerOptions options_;
  LossHead head_;
  size_t batch_size_ = 0;
  size_t memory_ = 0;
  std::vector<std::vector<float>> start_scales_;  // of weights_
  std::vector<std::pair<std::string, std::vector<float>>> gains_;  // at start
  TensorMap factors_;
  TensorMap gradients_;  // of the factors
  std::unique_ptr<Optimizer> optimizer_;
};

ScaleTuner::ScaleTuner(TrainableModel& student,
                       std::vector<ScaledWeight>& weights,
                       const TrainableModel& teacher, const Samples& samples,
                       const ScaleTunerOptions& options)
    : impl_(std::make_unique<Impl>(student, weights, teacher, samples,
                                   options)) {}
ScaleTuner::~ScaleTuner() = default;

size_t ScaleTuner::MemoryBytes() const { return impl_->MemoryBytes(); }
void ScaleTuner::Run(const Progress& progress) { impl_->Run(progress); }

}  // namespace lutra::qat
