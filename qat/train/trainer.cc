#include "lutra/qat/trainer.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <numbers>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lutra/qat/base_optimizers.h"
#include "lutra/qat/loss.h"
#include "lutra/qat/optimizer.h"
#include "lutra/qat/prox_maps.h"
#include "lutra/qat/quant_optimizer.h"
#include "lutra/qat/quantizers.h"
#include "lutra/qat/training_program.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/random.h"
#include "qat/train/checkpoint.h"

namespace lutra::qat {
namespace {

using Clock = std::chrono::steady_clock;

// Images per forward pass when nothing is learned from them.
constexpr size_t kEvaluationBatch = 500;

void CheckOptions(const TrainOptions& options) {
  const auto positive = [](double value) {
    return std::isfinite(value) && value > 0.0;
  };
  const auto not_negative = [](double value) {
    return std::isfinite(value) && value >= 0.0;
  };
  if (options.epochs < 1) throw Error("epochs must be at least 1");
  if (options.batch_size < 1) throw Error("the batch size must be at least 1");
  if (!positive(options.learning_rate)) {
    throw Error("the learning rate must be above 0");
  }
  if (!not_negative(options.weight_decay)) {
    throw Error("the weight decay must not be negative");
  }
  if (!not_negative(options.warmup_epochs)) {
    throw Error("the warm-up must not be negative");
  }
  if (options.checkpoint_steps < 0) {
    throw Error("the steps between checkpoints must not be negative");
  }
}

void CheckClassifier(const Graph& graph, const LabelledImages& images) {
  if (images.count == 0) throw Error("the data set is empty");
  if (graph.inputs.size() != 1 || graph.outputs.size() != 1 ||
      graph.inputs[0].type != ValueType::kFloat32) {
    throw Error("training needs a graph with one float input and one output");
  }
  size_t features = 1;
  for (const int64_t size : graph.inputs[0].shape) {
    features *= static_cast<size_t>(size);
  }
  if (features != images.Features()) {
    throw Error("the graph takes " + std::to_string(features) +
                " values, the images have " +
                std::to_string(images.Features()));
  }
}

void CheckScheme(const std::string& name, const QuantScheme& scheme,
                 const TensorMap& parameters) {
  const auto parameter = parameters.find(name);
  if (parameter == parameters.end()) {
    throw Error("tensor '" + name + "': has a scheme but is not in the graph");
  }
  const int64_t columns = parameter->second.shape.back();
  if (scheme.group_size < 0 ||
      (scheme.group_size > 0 && columns % scheme.group_size != 0)) {
    throw Error("tensor '" + name + "': a group size of " +
                std::to_string(scheme.group_size) + " does not divide its " +
                std::to_string(columns) + " columns");
  }
}

int64_t Steps(double epochs, int64_t steps_per_epoch) {
  return std::llround(epochs * static_cast<double>(steps_per_epoch));
}

ParqSchedule MakeSchedule(const QuantizedTraining& quantization,
                          int64_t steps_per_epoch, int64_t total_steps) {
  ParqSchedule schedule;
  schedule.start = Steps(quantization.anneal_start, steps_per_epoch);
  schedule.end = Steps(quantization.anneal_end, steps_per_epoch);
  schedule.steepness = quantization.anneal_steepness;
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
                                           const ParqSchedule& schedule) {
  if (name == "parq") return MakeProxParq(schedule);
  if (name == "hard") return MakeProxHardQuant();
  if (name == "binaryrelax") {
    return MakeProxBinaryRelax(schedule.start, schedule.end);
  }
  throw Error("no proximal map '" + name +
              "'; there are parq, hard and binaryrelax");
}

// Warm-up, then half a cosine. `step` from 0.
double LearningRate(const TrainOptions& options, int64_t steps_per_epoch,
                    int64_t total_steps, int64_t step) {
  const int64_t warmup =
      std::min(Steps(options.warmup_epochs, steps_per_epoch), total_steps - 1);
  if (step < warmup) {
    return options.learning_rate * static_cast<double>(step + 1) /
           static_cast<double>(warmup);
  }
  const double done = static_cast<double>(step - warmup) /
                      static_cast<double>(total_steps - warmup);
  return options.learning_rate * 0.5 *
         (1.0 + std::cos(std::numbers::pi * done));
}

}  // namespace

class Trainer::Impl {
 public:
  Impl(TrainableModel model, const LabelledImages& data,
       const TrainOptions& options, Executor* executor)
      : model_(std::move(model)),
        data_(data),
        options_(options),
        executor_(executor),
        program_(model_.graph, model_.parameters, {.executor = executor}) {
    CheckOptions(options_);
    CheckClassifier(model_.graph, data_);
    CheckLabels(data_);
    steps_per_epoch_ = static_cast<int64_t>(
        (data_.count + options_.batch_size - 1) / options_.batch_size);
    total_steps_ = steps_per_epoch_ * options_.epochs;
    MakeOptimizer();
    const size_t batch = std::min(options_.batch_size, data_.count);
    batch_images_.resize(batch * data_.Features());
    batch_labels_.resize(batch);
    output_gradient_.resize(batch * program_.OutputWidth(0));
  }

  void Resume() {
    if (options_.checkpoint.empty())
      throw Error("no checkpoint to resume from");
    position_ =
        LoadCheckpoint(options_.checkpoint, DescribeRun(), model_, *optimizer_);
    order_epoch_ = -1;
  }

  bool Run(const TrainObserver& observer) {
    const Clock::time_point start = Clock::now();
    const int64_t first_step = position_.step;
    while (position_.step < total_steps_) {
      if (order_epoch_ != position_.step / steps_per_epoch_) StartEpoch();
      Step();
      TrainProgress progress = Progress();
      const double seconds =
          std::chrono::duration<double>(Clock::now() - start).count();
      progress.seconds_left =
          seconds * static_cast<double>(total_steps_ - position_.step) /
          static_cast<double>(position_.step - first_step);
      if (!options_.checkpoint.empty() &&
          (progress.epoch_done ||
           (options_.checkpoint_steps > 0 &&
            position_.step % options_.checkpoint_steps == 0))) {
        SaveCheckpoint(options_.checkpoint, DescribeRun(), position_, model_,
                       Schemes(), *optimizer_);
      }
      if (!observer(progress)) return false;
    }
    return true;
  }

  double Accuracy(const LabelledImages& images) {
    CheckClassifier(model_.graph, images);
    CheckLabels(images);
    size_t correct = 0;
    for (size_t begin = 0; begin < images.count; begin += kEvaluationBatch) {
      const size_t m = std::min(kEvaluationBatch, images.count - begin);
      const std::array<const void*, 1> inputs{images.images.data() +
                                              begin * images.Features()};
      program_.Forward(m, inputs);
      const auto labels = std::span(images.labels).subspan(begin, m);
      const std::vector<int32_t> targets(labels.begin(), labels.end());
      correct += SoftmaxCrossEntropy(program_.Output(0), targets, {}).correct;
    }
    return static_cast<double>(correct) / static_cast<double>(images.count);
  }

  const TrainableModel& model() const { return model_; }

  SchemeMap Schemes() const {
    return options_.quantization ? options_.quantization->schemes : SchemeMap();
  }

 private:
  void CheckLabels(const LabelledImages& images) const {
    if (images.Classes() > program_.OutputWidth(0)) {
      throw Error("the data has " + std::to_string(images.Classes()) +
                  " classes, the graph tells " +
                  std::to_string(program_.OutputWidth(0)) + " apart");
    }
  }

  // One group per scheme, one of float weights, one of what has no decay.
  void MakeOptimizer() {
    const SchemeMap schemes = Schemes();
    for (const auto& [name, scheme] : schemes) {
      CheckScheme(name, scheme, model_.parameters);
    }
    std::vector<QuantScheme> distinct;
    std::vector<ParamGroup> quantized;
    ParamGroup weights;
    ParamGroup others;
    weights.weight_decay = options_.weight_decay;
    for (const auto& [name, gradient] : program_.gradients()) {
      Tensor& tensor = model_.parameters.find(name)->second;
      Parameter parameter;
      parameter.name = name;
      parameter.shape = tensor.shape;
      parameter.value = tensor.values.data();
      parameter.grad = gradient.values.data();
      const auto scheme = schemes.find(name);
      if (scheme == schemes.end()) {
        (tensor.shape.size() > 1 ? weights : others)
            .parameters.push_back(parameter);
        continue;
      }
      const auto known =
          std::find(distinct.begin(), distinct.end(), scheme->second);
      const auto index = static_cast<size_t>(known - distinct.begin());
      if (known == distinct.end()) {
        distinct.push_back(scheme->second);
        ParamGroup& group = quantized.emplace_back();
        group.weight_decay = options_.weight_decay;
        group.quant_bits = scheme->second.bits;
        if (scheme->second.group_size > 0) {
          group.quant_block_size = scheme->second.group_size;
        }
      }
      quantized[index].parameters.push_back(parameter);
    }
    std::vector<ParamGroup> groups = std::move(quantized);
    for (ParamGroup* group : {&weights, &others}) {
      if (!group->parameters.empty()) groups.push_back(std::move(*group));
    }
    optimizer_ = MakeAdamW(std::move(groups), AdamOptions{});
    if (!distinct.empty()) QuantizeOptimizer(distinct);
  }

  void QuantizeOptimizer(const std::vector<QuantScheme>& schemes) {
    const QuantizedTraining& quantization = *options_.quantization;
    schedule_ = MakeSchedule(quantization, steps_per_epoch_, total_steps_);
    QuantOptimizerOptions options;
    options.quant_period = quantization.period;
    options.per_channel = true;
    for (size_t i = 0; i < schemes.size(); ++i) {
      options.group_quantizers[static_cast<int>(i)] =
          MakeQuantizer(schemes[i].quantizer);
    }
    optimizer_ = std::make_unique<QuantOptimizer>(
        std::move(optimizer_), options.group_quantizers[0],
        MakeProxMap(quantization.prox_map, schedule_), options);
  }

  // All that determines the result besides the model.
  nlohmann::json DescribeRun() const {
    const std::span<const uint8_t> labels = data_.labels;
    nlohmann::json run = {
        {"epochs", options_.epochs},
        {"batch size", options_.batch_size},
        {"learning rate", options_.learning_rate},
        {"warm-up", options_.warmup_epochs},
        {"weight decay", options_.weight_decay},
        {"seed", options_.seed},
        {"images", data_.count},
        {"labels' checksum", crc32_z(0, labels.data(), labels.size())}};
    if (options_.quantization) {
      const QuantizedTraining& quantization = *options_.quantization;
      run["schemes"] = SchemesToJson(quantization.schemes);
      run["proximal map"] = quantization.prox_map;
      run["anneal start"] = quantization.anneal_start;
      run["anneal end"] = quantization.anneal_end;
      run["anneal steepness"] = quantization.anneal_steepness;
      run["period"] = quantization.period;
    }
    return run;
  }

  // The order of an epoch depends on the seed and the epoch alone, so that a
  // resumed run need not replay the earlier ones.
  void StartEpoch() {
    order_epoch_ = position_.step / steps_per_epoch_;
    order_.resize(data_.count);
    std::iota(order_.begin(), order_.end(), uint32_t{0});
    Random random(options_.seed, static_cast<uint64_t>(order_epoch_));
    Shuffle(order_, random);
  }

  void Step() {
    const auto position =
        static_cast<size_t>(position_.step % steps_per_epoch_);
    if (position == 0) {
      position_.loss_sum = 0.0;
      position_.correct = 0;
      position_.seen = 0;
    }
    const size_t begin = position * options_.batch_size;
    const size_t m = std::min(options_.batch_size, data_.count - begin);
    const size_t features = data_.Features();
    for (size_t i = 0; i < m; ++i) {
      const size_t index = order_[begin + i];
      std::copy_n(data_.images.data() + index * features, features,
                  batch_images_.data() + i * features);
      batch_labels_[i] = data_.labels[index];
    }
    const std::array<const void*, 1> inputs{batch_images_.data()};
    program_.Forward(m, inputs);
    const std::span<float> gradient =
        std::span(output_gradient_).first(m * program_.OutputWidth(0));
    const ClassificationLoss loss = SoftmaxCrossEntropy(
        program_.Output(0), std::span(batch_labels_).first(m), {},
        1.0f / static_cast<float>(m), gradient, {}, executor_);
    if (!std::isfinite(loss.loss)) {
      throw Error("training became unstable: at step " +
                  std::to_string(position_.step + 1) + " of " +
                  std::to_string(total_steps_) +
                  " the loss is not finite; try a lower learning rate");
    }
    const std::array<const float*, 1> gradients{gradient.data()};
    program_.Backward(gradients);
    learning_rate_ =
        LearningRate(options_, steps_per_epoch_, total_steps_, position_.step);
    for (ParamGroup& group : optimizer_->groups()) group.lr = learning_rate_;
    optimizer_->Step(executor_);
    ++position_.step;
    position_.loss_sum += loss.loss;
    position_.correct += loss.correct;
    position_.seen += m;
  }

  TrainProgress Progress() const {
    TrainProgress progress;
    progress.epoch = (position_.step - 1) / steps_per_epoch_ + 1;
    progress.epochs = options_.epochs;
    progress.step = position_.step;
    progress.total_steps = total_steps_;
    progress.epoch_done = position_.step % steps_per_epoch_ == 0;
    progress.loss = position_.loss_sum / static_cast<double>(position_.seen);
    progress.accuracy = static_cast<double>(position_.correct) /
                        static_cast<double>(position_.seen);
    progress.learning_rate = learning_rate_;
    if (options_.quantization && options_.quantization->prox_map == "parq") {
      const int64_t done = position_.step - 1;
      progress.inverse_slope = done < schedule_.start ? 1.0
                               : done >= schedule_.end
                                   ? 0.0
                                   : InverseSlope(schedule_, done);
    }
    return progress;
  }

  TrainableModel model_;
  const LabelledImages& data_;
  TrainOptions options_;
  Executor* executor_;
  TrainingProgram program_;
  std::unique_ptr<Optimizer> optimizer_;
  ParqSchedule schedule_;
  int64_t steps_per_epoch_ = 0;
  int64_t total_steps_ = 0;

  TrainPosition position_;
  int64_t order_epoch_ = -1;
  std::vector<uint32_t> order_;
  double learning_rate_ = 0.0;
  std::vector<float> batch_images_;
  std::vector<int32_t> batch_labels_;
  std::vector<float> output_gradient_;
};

Trainer::Trainer(TrainableModel model, const LabelledImages& data,
                 const TrainOptions& options, Executor* executor)
    : impl_(std::make_unique<Impl>(std::move(model), data, options, executor)) {
}
Trainer::~Trainer() = default;

void Trainer::Resume() { impl_->Resume(); }
bool Trainer::Run(const TrainObserver& observer) {
  return impl_->Run(observer);
}
double Trainer::Accuracy(const LabelledImages& images) {
  return impl_->Accuracy(images);
}
const TrainableModel& Trainer::model() const { return impl_->model(); }
void Trainer::WriteModel(const std::filesystem::path& path) const {
  qat::WriteModel(path, impl_->model(), impl_->Schemes());
}

}  // namespace lutra::qat
