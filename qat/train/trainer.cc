#include "lutra/qat/trainer.h"

#include <zlib.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lutra/qat/averaging_optimizer.h"
#include "lutra/qat/gradient_clip.h"
#include "lutra/qat/loss.h"
#include "lutra/qat/optimizer.h"
#include "lutra/qat/prox_maps.h"
#include "lutra/qat/quant_optimizer.h"
#include "lutra/qat/quantizers.h"
#include "lutra/runtime/error.h"
#include "qat/train/checkpoint.h"
#include "qat/train/loss_head.h"
#include "qat/train/moving_ranges.h"
#include "qat/train/param_groups.h"
#include "qat/train/run_options.h"
#include "qat/train/shard_sum.h"
#include "qat/train/step_batches.h"
#include "qat/train/teacher_cache.h"
#include "qat/train/teacher_run.h"

namespace lutra::qat {
namespace {

using Clock = std::chrono::steady_clock;

// The teacher's values, to tell it from others.
uint32_t ChecksumOf(const TensorMap& parameters) {
  uLong crc = 0;
  for (const auto& [name, tensor] : parameters) {
    crc = crc32_z(crc,
                  reinterpret_cast<const unsigned char*>(tensor.values.data()),
                  tensor.values.size() * sizeof(float));
  }
  return static_cast<uint32_t>(crc);
}

// While it lives, parameters are their averages, if there are any. The values
// go to and fro, as the addresses must stay.
class AveragedValues {
 public:
  AveragedValues(TensorMap& parameters, const AveragingOptimizer* averaging)
      : parameters_(parameters) {
    if (averaging == nullptr) return;
    for (auto& [name, tensor] : parameters) {
      const Span<const float> average = averaging->Average(name);
      if (average.empty()) continue;
      own_.emplace(name, tensor.values);
      std::copy(average.begin(), average.end(), tensor.values.begin());
    }
  }
  ~AveragedValues() {
    for (const auto& [name, values] : own_) {
      Tensor& tensor = parameters_.find(name)->second;
      std::copy(values.begin(), values.end(), tensor.values.begin());
    }
  }
  AveragedValues(const AveragedValues&) = delete;
  AveragedValues& operator=(const AveragedValues&) = delete;

 private:
  TensorMap& parameters_;
  std::map<std::string, std::vector<float>> own_;
};

}  // namespace

class Trainer::Impl {
 public:
  Impl(TrainableModel model, const Samples& data, const TrainOptions& options,
       Executor* executor)
      : model_(std::move(model)),
        data_(data),
        options_(options),
        executor_(executor),
        head_(std::in_place, model_.graph, model_.parameters,
              LossOptions(options), executor, options.frozen,
              options.recompute) {
    CheckOptions(options_);
    data_.CheckGraph(model_.graph, head_->classes());
    if (options_.distillation > 0.0 && options_.teacher == nullptr) {
      throw Error("distillation needs a teacher");
    }
    if (!options_.teacher_cache.empty()) {
      if (options_.teacher == nullptr) throw Error("no teacher to keep");
      if (options_.teacher_top < 1) {
        throw Error("of a teacher's classes, at least one must be kept");
      }
      options_.teacher_top = std::min(options_.teacher_top, head_->classes());
    }
    TeachHead();
    if (!options_.moving_ranges.empty()) {
      moving_.emplace(model_.graph, model_.parameters, options_.moving_ranges,
                      executor_);
    }
    batches_.emplace(data_, options_.batch_size, options_.shards,
                     options_.micro_batch, options_.seed);
    sum_.emplace(options_.shards, head_->gradients(), options_.processes);
    steps_per_epoch_ = batches_->StepsPerEpoch();
    total_steps_ = options_.steps > 0 ? options_.steps
                                      : steps_per_epoch_ * options_.epochs;
    rates_ = MakeRateSchedule(options_, steps_per_epoch_, total_steps_);
    MakeOptimizer();
  }

  void CacheTeacher(const std::function<void(int64_t, int64_t)>& progress) {
    const std::filesystem::path& path = options_.teacher_cache;
    if (path.empty()) throw Error("no file to keep the teacher's outputs in");
    // The first process runs it for all.
    if (sum_->rank() == 0 && !std::filesystem::exists(path)) {
      RunTeacher(*options_.teacher, *batches_, path, DescribeTeacher(),
                 CacheShape(), executor_, progress);
    }
    if (sum_->IsShared()) sum_->Meet(0);
    cache_.emplace(path, DescribeTeacher(), CacheShape());
    TeachHead();
  }

  void Resume() {
    if (options_.checkpoint.empty())
      throw Error("no checkpoint to resume from");
    position_ =
        LoadCheckpoint(options_.checkpoint, DescribeRun(), model_, *optimizer_);
    if (!moving_ || position_.ranges.empty()) return;
    for (const auto& [value, entry] : position_.ranges) {
      moving_->statistics().Set(value, entry);
    }
    FollowRanges();
  }

  bool Run(const TrainObserver& observer) {
    const Clock::time_point start = Clock::now();
    const int64_t first_step = position_.step;
    rows_ = 0;
    if (sum_->IsShared()) sum_->Meet(ChecksumOfRun());
    bool wants_stop = false;
    while (position_.step < total_steps_) {
      const bool stops = Step(wants_stop);
      TrainProgress progress = Progress();
      const double seconds =
          std::chrono::duration<double>(Clock::now() - start).count();
      progress.seconds_left =
          seconds * static_cast<double>(total_steps_ - position_.step) /
          static_cast<double>(position_.step - first_step);
      progress.rows = rows_;
      progress.row_name = data_.RowName();
      progress.rows_per_second = static_cast<double>(rows_) / seconds;
      if (!options_.checkpoint.empty() && sum_->rank() == 0 &&
          (progress.epoch_done ||
           (options_.checkpoint_steps > 0 &&
            position_.step % options_.checkpoint_steps == 0))) {
        Save();
      }
      wants_stop = !observer(progress);
      if (stops || (wants_stop && !sum_->IsShared())) return false;
    }
    return !wants_stop;
  }

  TrainMemory Reserve() {
    const size_t samples = batches_->SamplesAtATime();
    const size_t rows = data_.RowsOfSample();
    TrainMemory memory;
    // Samples of one row are one sequence.
    reserved_ =
        rows == 1 ? std::pair(size_t{1}, samples) : std::pair(samples, rows);
    memory.step = head_->Reserve(reserved_.first, reserved_.second);
    if (moving_) {
      memory.step += moving_->Reserve(reserved_.first, reserved_.second);
    }
    for (const auto& [name, tensor] : model_.parameters) {
      memory.weights += tensor.values.size() * sizeof(float);
    }
    memory.gradients = sum_->ByteCount();
    const size_t moments =
        size_t{options_.optimizer == OptimizerKind::kSgd ? 1u : 2u} +
        (options_.average > 0.0 ? 1 : 0);
    for (const ParamGroup& group : optimizer_->groups()) {
      for (const Parameter& parameter : group.parameters) {
        const size_t bytes = parameter.size() * sizeof(float);
        memory.gradients += bytes;
        // Grids are few.
        memory.optimizer += (moments + (IsQuantized(group) ? 1 : 0)) * bytes;
      }
    }
    return memory;
  }

  void Write(const std::filesystem::path& path) {
    const AveragedValues averaged(model_.parameters, averaging_);
    qat::WriteModel(path, model_, Schemes());
  }

  void Save() {
    qat::SaveCheckpoint(options_.checkpoint, DescribeRun(), position_, model_,
                        Schemes(), *optimizer_);
  }

  std::map<std::string, double> GridDistances() const {
    std::map<std::string, double> distances;
    for (const auto& [name, scheme] : Schemes()) {
      if (const auto distance = quantizing_->GridDistance(name, executor_)) {
        distances.emplace(name, *distance);
      }
    }
    return distances;
  }

  Judgement Judge(const Samples& samples) {
    const AveragedValues averaged(model_.parameters, averaging_);
    samples.CheckGraph(model_.graph, head_->classes());
    ClassificationLoss sum;
    SampleBatch batch;
    std::vector<uint32_t> which;
    // No more than in training: memory is planned for that.
    const size_t at_once = batches_->SamplesAtATime();
    for (size_t begin = 0; begin < samples.Count(); begin += at_once) {
      which.resize(std::min(at_once, samples.Count() - begin));
      std::iota(which.begin(), which.end(), static_cast<uint32_t>(begin));
      batch.Clear();
      samples.Load(which, /*epoch=*/0, batch);
      sum.Add(head_->Judge(batch.sequences, batch.Input(), batch.targets));
    }
    const auto rows = static_cast<double>(sum.rows);
    return {.loss = sum.loss / rows,
            .accuracy = static_cast<double>(sum.correct) / rows,
            .rows = sum.rows};
  }

  const TrainableModel& model() const { return model_; }

  SchemeMap Schemes() const {
    return options_.quantization ? options_.quantization->schemes : SchemeMap();
  }

 private:
  void TeachHead() {
    if (cache_) {
      head_->SetTeacher(*cache_);
    } else if (options_.teacher != nullptr && options_.teacher_cache.empty()) {
      head_->SetTeacher(options_.teacher->graph, options_.teacher->parameters);
    }
  }

  int64_t EndOfMovingRanges() const {
    return options_.quantization ? std::min(schedule_.end, total_steps_)
                                 : total_steps_ * 4 / 5;
  }

  // Looks at a batch of the step to come; all processes look at the same one.
  void MoveRanges(const std::vector<std::vector<SampleBatch>>& shards) {
    if (!moving_ || position_.step % options_.range_period != 0 ||
        position_.step >= EndOfMovingRanges()) {
      return;
    }
    // A shard may be empty, a step is not.
    const auto shard =
        std::find_if(shards.begin(), shards.end(),
                     [](const auto& batches) { return !batches.empty(); });
    const SampleBatch& batch = shard->front();
    moving_->Look(batch.sequences, batch.Input());
    position_.ranges = moving_->statistics().entries();
    FollowRanges();
  }

  // Programs are made for the ranges that nodes say; weights and the
  // optimizer's state stay where they are.
  void FollowRanges() {
    moving_->SetRanges(model_.graph);
    sum_.reset();
    head_.emplace(model_.graph, model_.parameters, LossOptions(options_),
                  executor_, options_.frozen, options_.recompute);
    TeachHead();
    if (reserved_.first > 0) head_->Reserve(reserved_.first, reserved_.second);
    sum_.emplace(options_.shards, head_->gradients(), options_.processes);
    for (ParamGroup& group : optimizer_->groups()) {
      for (Parameter& parameter : group.parameters) {
        const auto gradient = head_->gradients().find(parameter.name);
        if (gradient == head_->gradients().end()) continue;  // a scale's own
        parameter.grad = gradient->second.values.data();
      }
    }
  }

  void MakeOptimizer() {
    ParamGroups groups =
        MakeParamGroups(model_.parameters, head_->gradients(), Schemes(),
                        options_.parameters, options_.weight_decay);
    group_rates_ = std::move(groups.rates);
    optimizer_ = MakeBaseOptimizer(options_, std::move(groups.groups));
    if (!groups.schemes.empty()) QuantizeOptimizer(groups.schemes);
    if (options_.average == 0.0) return;
    if (!groups.schemes.empty()) {
      throw Error("an average of weights lies on no grid: not with bits");
    }
    auto averaging = std::make_unique<AveragingOptimizer>(std::move(optimizer_),
                                                          options_.average);
    averaging_ = averaging.get();
    optimizer_ = std::move(averaging);
  }

  void QuantizeOptimizer(const std::vector<QuantScheme>& schemes) {
    const QuantizedTraining& quantization = *options_.quantization;
    if (quantization.learned_scales && quantization.period != 1) {
      throw Error("learned scales are not derived anew: no period");
    }
    if (!(std::isfinite(quantization.scale_rate) &&
          quantization.scale_rate > 0.0)) {
      throw Error("the rate of learned scales must be above 0");
    }
    schedule_ = MakeSchedule(quantization, steps_per_epoch_, total_steps_);
    QuantOptimizerOptions options;
    options.quant_period = quantization.period;
    options.per_channel = true;
    options.short_last_blocks = true;
    options.learned_scales = quantization.learned_scales;
    options.scale_rate = quantization.scale_rate;
    for (size_t i = 0; i < schemes.size(); ++i) {
      options.group_quantizers[static_cast<int>(i)] =
          MakeQuantizer(schemes[i].quantizer);
    }
    auto quantizing = std::make_unique<QuantOptimizer>(
        std::move(optimizer_), options.group_quantizers[0],
        MakeProxMap(quantization.prox_map, schedule_, options_.seed), options);
    quantizing_ = quantizing.get();
    optimizer_ = std::move(quantizing);
  }

  TeacherCacheShape CacheShape() const {
    return {.steps = total_steps_,
            .rows = batches_->SamplesOfAStep() * data_.RowsOfSample(),
            .top = options_.teacher_top,
            .classes = head_->classes()};
  }

  // What determines the rows of the steps, and what the teacher says of them.
  nlohmann::json DescribeTeacher() const {
    return {{"batch size", options_.batch_size},
            {"seed", options_.seed},
            {"samples", data_.Count()},
            {"data's checksum", data_.Checksum()},
            {"teacher's checksum", ChecksumOf(options_.teacher->parameters)}};
  }

  // All that determines the result besides the model.
  nlohmann::json DescribeRun() const {
    const TrainOptions usual;
    nlohmann::json run = {{"epochs", options_.epochs},
                          {"batch size", options_.batch_size},
                          {"learning rate", options_.learning_rate},
                          {"warm-up", options_.warmup_epochs},
                          {"weight decay", options_.weight_decay},
                          {"seed", options_.seed},
                          {"samples", data_.Count()},
                          {"data's checksum", data_.Checksum()}};
    // What is as usual is left out, so that an option that is new leaves older
    // checkpoints what they are.
    const auto add = [&run](const char* key, const auto& value,
                            const auto& other) {
      if (value != other) run[key] = value;
    };
    add("steps", options_.steps, usual.steps);
    add("frozen", nlohmann::json(options_.frozen),
        nlohmann::json(usual.frozen));
    for (const auto& [name, settings] : options_.parameters) {
      nlohmann::json& own = run["settings"][name];
      own["rate"] = settings.rate;
      if (settings.weight_decay) own["weight decay"] = *settings.weight_decay;
    }
    add("shards", options_.shards, usual.shards);
    add("samples at a time", options_.micro_batch, usual.micro_batch);
    add("optimizer", Name(options_.optimizer), Name(usual.optimizer));
    add("beta1", options_.beta1, usual.beta1);
    add("beta2", options_.beta2, usual.beta2);
    add("epsilon", options_.epsilon, usual.epsilon);
    add("momentum", options_.momentum, usual.momentum);
    add("decay of the rate", Name(options_.rate_decay), Name(usual.rate_decay));
    add("share of the decay", options_.decay_share, usual.decay_share);
    add("lowest rate", options_.rate_floor, usual.rate_floor);
    add("average", options_.average, usual.average);
    add("clipping", options_.clip, usual.clip);
    add("label smoothing", options_.label_smoothing, usual.label_smoothing);
    add("distillation", options_.distillation, usual.distillation);
    add("temperature", options_.temperature, usual.temperature);
    for (const StaticInput& input : options_.moving_ranges) {
      run[kMovingRangesKey][input.value] = input.activations.symmetric;
      run["range period"] = options_.range_period;
    }
    if (options_.teacher != nullptr) {
      run["teacher's checksum"] = ChecksumOf(options_.teacher->parameters);
      if (!options_.teacher_cache.empty()) {
        run["teacher's classes"] = options_.teacher_top;
      }
    }
    if (options_.quantization) {
      const QuantizedTraining& quantization = *options_.quantization;
      run["schemes"] = SchemesToJson(quantization.schemes);
      run["proximal map"] = quantization.prox_map;
      run["anneal start"] = quantization.anneal_start;
      run["anneal end"] = quantization.anneal_end;
      run["anneal steepness"] = quantization.anneal_steepness;
      run["period"] = quantization.period;
      if (quantization.learned_scales) {
        run["scales' rate"] = quantization.scale_rate;
      }
    }
    return run;
  }

  // Of what must be the same in all processes.
  uint64_t ChecksumOfRun() const {
    const std::string run = DescribeRun().dump();
    const uLong crc =
        crc32_z(crc32_z(0, nullptr, 0),
                reinterpret_cast<const unsigned char*>(run.data()), run.size());
    return (uint64_t{ChecksumOf(model_.parameters)} << 32 ^
            static_cast<uint64_t>(crc)) +
           static_cast<uint64_t>(position_.step);
  }

  // The part of a step, whose targets are `rows`, that a shard has. In a step
  // `first` of its rows come before.
  ShardSum::Total RunShard(const std::vector<SampleBatch>& batches,
                           size_t first, size_t rows) {
    const float scale = 1.0f / static_cast<float>(rows);
    head_->ClearGradients();
    ShardSum::Total total;
    for (const SampleBatch& batch : batches) {
      if (cache_) cache_->Seek(position_.step, first, batch.targets.size());
      first += batch.targets.size();
      total.loss.Add(
          head_->Run(batch.sequences, batch.Input(), batch.targets, scale));
    }
    return total;
  }

  // Returns whether this is the last step for now, as a process wants.
  bool Step(bool wants_stop) {
    if (position_.step % steps_per_epoch_ == 0) {
      position_.loss_sum = 0.0;
      position_.correct = 0;
      position_.seen = 0;
    }
    const auto& shards = batches_->Load(position_.step);
    MoveRanges(shards);
    size_t targets = 0;
    std::vector<size_t> firsts;  // rows, of the shards
    size_t row = 0;
    for (const std::vector<SampleBatch>& shard : shards) {
      firsts.push_back(row);
      for (const SampleBatch& batch : shard) {
        targets += CountTargets(batch.targets, {});
        row += batch.targets.size();
      }
    }
    ShardSum::Total total = sum_->Run([&](size_t shard) {
      ShardSum::Total part = RunShard(shards[shard], firsts[shard], targets);
      part.stop = wants_stop;
      return part;
    });
    const ClassificationLoss& loss = total.loss;
    TensorMap& gradients = head_->gradients();
    if (!std::isfinite(loss.loss)) Unstable("the loss");
    gradient_norm_ = ClipGradients(gradients, options_.clip, executor_);
    if (!std::isfinite(gradient_norm_)) {
      Unstable("the gradient of '" + NotFinite(gradients) + "'");
    }
    learning_rate_ = options_.learning_rate * rates_.Factor(position_.step);
    for (size_t i = 0; i < group_rates_.size(); ++i) {
      optimizer_->groups()[i].lr = learning_rate_ * group_rates_[i];
    }
    optimizer_->Step(executor_);
    ++position_.step;
    step_loss_ = loss.loss / static_cast<double>(targets);
    rows_ += targets;
    position_.loss_sum += loss.loss;
    position_.correct += loss.correct;
    position_.seen += targets;
    return total.stop;
  }

  [[noreturn]] void Unstable(const std::string& what) const {
    throw Error("training became unstable: at step " +
                std::to_string(position_.step + 1) + " of " +
                std::to_string(total_steps_) + " " + what +
                " is not finite; try a lower learning rate");
  }

  static std::string NotFinite(const TensorMap& gradients) {
    for (const auto& [name, gradient] : gradients) {
      if (!std::all_of(gradient.values.begin(), gradient.values.end(),
                       [](float value) { return std::isfinite(value); })) {
        return name;
      }
    }
    return "all";  // their sum of squares overflows
  }

  TrainProgress Progress() const {
    TrainProgress progress;
    progress.epoch = (position_.step - 1) / steps_per_epoch_ + 1;
    progress.epochs = (total_steps_ - 1) / steps_per_epoch_ + 1;
    progress.step = position_.step;
    progress.total_steps = total_steps_;
    progress.epoch_done = position_.step % steps_per_epoch_ == 0;
    progress.step_loss = step_loss_;
    progress.gradient_norm = gradient_norm_;
    progress.loss = position_.loss_sum / static_cast<double>(position_.seen);
    progress.accuracy = static_cast<double>(position_.correct) /
                        static_cast<double>(position_.seen);
    progress.learning_rate = learning_rate_;
    if (options_.quantization && options_.quantization->prox_map != "hard") {
      progress.on_grid = position_.step > schedule_.end;
    }
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
  const Samples& data_;
  TrainOptions options_;
  Executor* executor_;
  std::optional<StepBatches> batches_;  // once the options are checked
  std::optional<TeacherCache> cache_;
  std::optional<LossHead> head_;        // may read it
  std::pair<size_t, size_t> reserved_;  // sequences and rows, for calls of it
  std::optional<MovingRanges> moving_;
  std::optional<ShardSum> sum_;  // of its gradients
  std::unique_ptr<Optimizer> optimizer_;
  const AveragingOptimizer* averaging_ = nullptr;  // it, if it is one
  const QuantOptimizer* quantizing_ = nullptr;     // likewise
  std::vector<double> group_rates_;  // multiples of the learning rate
  ParqSchedule schedule_;
  LearningRateSchedule rates_;
  int64_t steps_per_epoch_ = 0;
  int64_t total_steps_ = 0;

  TrainPosition position_;
  double learning_rate_ = 0.0;
  double step_loss_ = 0.0;
  double gradient_norm_ = 0.0;
  uint64_t rows_ = 0;  // of this call of Run
};

Trainer::Trainer(TrainableModel model, const Samples& data,
                 const TrainOptions& options, Executor* executor)
    : impl_(std::make_unique<Impl>(std::move(model), data, options, executor)) {
}
Trainer::~Trainer() = default;

void Trainer::CacheTeacher(
    const std::function<void(int64_t, int64_t)>& progress) {
  impl_->CacheTeacher(progress);
}
void Trainer::Resume() { impl_->Resume(); }
bool Trainer::Run(const TrainObserver& observer) {
  return impl_->Run(observer);
}
TrainMemory Trainer::Reserve() { return impl_->Reserve(); }
void Trainer::SaveCheckpoint() { impl_->Save(); }
std::map<std::string, double> Trainer::GridDistances() const {
  return impl_->GridDistances();
}
Judgement Trainer::Judge(const Samples& samples) {
  return impl_->Judge(samples);
}
const TrainableModel& Trainer::model() const { return impl_->model(); }
void Trainer::WriteModel(const std::filesystem::path& path) const {
  impl_->Write(path);
}

}  // namespace lutra::qat
