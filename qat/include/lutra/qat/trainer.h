#ifndef LUTRA_QAT_TRAINER_H_
#define LUTRA_QAT_TRAINER_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/kernels/executor.h"
#include "lutra/qat/activations.h"
#include "lutra/qat/learning_rate.h"
#include "lutra/qat/param_rules.h"
#include "lutra/qat/processes.h"
#include "lutra/qat/samples.h"
#include "lutra/qat/scheme.h"
#include "lutra/qat/trainable_model.h"

// Trains a graph to classify, with float or with quantized weights: images, or
// the next token of texts. Softmax cross-entropy, AdamW or another optimizer, a
// learning rate that rises, stays and falls, and for quantized weights PARQ
// (QuantOptimizer).

namespace lutra::qat {

struct QuantizedTraining {
  // The weights to quantize. One grid per row, or per group of a row; what is
  // left at the end of a row is a shorter group, as the packer has it.
  SchemeMap schemes;
  // "parq", "hard", "binaryrelax" or "stochastic".
  std::string prox_map = "parq";
  // Where annealing starts and ends, in epochs from the start; "hard" ignores
  // them. The end must leave at least one step, so that the weights finish on
  // their grid.
  double anneal_start = 0.0;
  double anneal_end = 1.0;
  double anneal_steepness = 10.0;  // "parq" only; 1 to 100
  // Grids are derived anew every that many steps.
  int64_t period = 1;
  // Scales are trained as well (QuantOptimizerOptions), for schemes whose
  // quantizer has a table; their rate is that of the weights times scale_rate.
  // `period` must then be 1.
  bool learned_scales = false;
  double scale_rate = 3.0;
};

enum class OptimizerKind { kAdamW, kAdam, kSgd };
// "adamw", "adam" or "sgd".
std::string_view Name(OptimizerKind kind);
// Throws lutra::Error that suggests the nearest name.
OptimizerKind ParseOptimizerKind(std::string_view name);

struct TrainOptions {
  int64_t epochs = 10;
  // If not 0, training ends after that many steps instead.
  int64_t steps = 0;
  size_t batch_size = 128;  // the last batch of an epoch may be smaller
  // Samples of a step that are computed at a time, which bounds the memory; 0:
  // all. Gradients are sums, and but for rounding the same.
  size_t micro_batch = 0;
  // Whether what a step's forward half leaves is mostly computed again for the
  // backward half, in place of being kept (TrainingProgramOptions): less
  // memory, more time, the same bits.
  bool recompute = false;
  // Parts of a step whose gradients are added in a fixed tree, and that
  // processes share: the result depends on their number, not on that of the
  // processes. At most the batch size.
  size_t shards = 1;
  // Others that train with this one, which must outlive the trainer; nullptr:
  // none. All must have the same kind of CPU.
  Processes* processes = nullptr;

  OptimizerKind optimizer = OptimizerKind::kAdamW;
  double beta1 = 0.9;  // of Adam and AdamW
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double momentum = 0.9;  // of SGD, with Nesterov's correction

  double learning_rate = 1e-3;
  double warmup_epochs = 0.5;
  // After the warm-up the rate is level, and then falls over this share of all
  // steps to `rate_floor` times the highest.
  LearningRateSchedule::Decay rate_decay = LearningRateSchedule::Decay::kCosine;
  double decay_share = 1.0;
  double rate_floor = 0.0;

  double weight_decay = 0.01;  // of weights; biases and norms have none
  // If above 0, what is judged and written is an average of the weights that
  // decays so (averaging_optimizer.h). Not with quantization: an average lies
  // on no grid.
  double average = 0.0;
  double clip = 0.0;  // of the gradients' norm; 0: none
  double label_smoothing = 0.0;
  // A float model of the same classes to learn from (ClassificationOptions).
  std::shared_ptr<const TrainableModel> teacher;
  double distillation = 0.0;
  double temperature = 1.0;
  // A file that keeps, for each row, the `teacher_top` most probable classes of
  // the teacher: it then runs once for all runs on the same data, in the same
  // order (Trainer::CacheTeacher). The others share what probability is left.
  // Empty: it runs in every step.
  std::filesystem::path teacher_cache;
  size_t teacher_top = 32;

  // Inputs of layers whose fixed ranges follow the training: every
  // `range_period` steps the extremes of a batch are added to the statistics
  // (RangeStatistics), whose means are the ranges, until anneal_end, or in
  // float for the first four fifths of the steps. The nodes must say that these
  // inputs are quantized.
  std::vector<StaticInput> moving_ranges;
  int64_t range_period = 20;

  uint64_t seed = 1;  // order of the samples
  // Parameters that stay as they are.
  std::set<std::string, std::less<>> frozen;
  ParamSettingsMap parameters;  // that are trained otherwise than the rest
  std::optional<QuantizedTraining> quantization;

  // Where to keep a checkpoint; empty: nowhere. It is replaced at the end of
  // every epoch, and every `checkpoint_steps` steps if that is not 0.
  std::filesystem::path checkpoint;
  int64_t checkpoint_steps = 0;
};

struct TrainProgress {
  int64_t epoch = 0;  // from 1
  int64_t epochs = 0;
  int64_t step = 0;  // steps done, over all epochs
  int64_t total_steps = 0;
  bool epoch_done = false;
  double step_loss = 0.0;      // mean over the rows of this step
  double gradient_norm = 0.0;  // before clipping
  std::string row_name;        // "image" or "token"
  uint64_t rows = 0;           // of this call of Run
  double rows_per_second = 0.0;
  double loss = 0.0;      // means over the rows of this epoch so far
  double accuracy = 0.0;  // in [0, 1]
  double learning_rate = 0.0;
  std::optional<double> inverse_slope;  // of "parq": 1 (float) to 0 (on grid)
  // Whether all weights that are to be quantized lie on their grid.
  bool on_grid = true;
  double seconds_left = 0.0;
};

// Called after each step; returns whether to go on. With other processes a run
// that is to stop does one step more, after which all of them stop.
using TrainObserver = std::function<bool(const TrainProgress&)>;

struct Judgement {
  double loss = 0.0;      // mean over the rows, in nats
  double accuracy = 0.0;  // share of rows whose largest output is the target
  uint64_t rows = 0;
};

// Bytes that a run needs.
struct TrainMemory {
  size_t weights = 0;
  size_t gradients = 0;
  size_t optimizer = 0;  // moments, latent weights, grids
  size_t step = 0;       // what a step keeps for its backward half, and scratch
};

// One run of training. The result depends on the model, the data and the
// options alone, not on the number of threads, nor on whether the run was
// interrupted and resumed. Not thread-safe.
class Trainer {
 public:
  // Checks that model, data and options fit each other. `data` and `executor`
  // (nullptr: the calling thread) must outlive the trainer. Throws
  // lutra::Error.
  Trainer(TrainableModel model, const Samples& data,
          const TrainOptions& options, Executor* executor);
  ~Trainer();

  // Plans the memory of a step, and tells it. Throws lutra::Error if there is
  // not enough.
  TrainMemory Reserve();

  // With options.teacher_cache: makes that file, if it is not there, by a run
  // of the teacher over all steps. Calls progress(steps done, all) after each,
  // which may throw. Needed before Run. Throws lutra::Error for a file of
  // another run, naming what differs.
  void CacheTeacher(const std::function<void(int64_t, int64_t)>& progress);

  // Continues the run whose checkpoint is at options.checkpoint. Throws
  // lutra::Error, and changes nothing, if that is damaged or belongs to another
  // model, other data or other options.
  void Resume();

  // Runs the steps that remain. Returns false if the observer, or that of
  // another process, stopped it. Throws lutra::Error, naming the step, when the
  // loss or a gradient is not finite; and what TrainOptions::processes throw,
  // after which the trainer is where the last whole step left it, and can write
  // a checkpoint.
  bool Run(const TrainObserver& observer);

  // Writes a checkpoint to options.checkpoint now. Throws lutra::Error.
  void SaveCheckpoint();

  // By parameter, how far the weights that are to be quantized are from their
  // grids (QuantOptimizer::GridDistance); empty before the first step.
  std::map<std::string, double> GridDistances() const;

  // How well the model does on other samples. Throws lutra::Error.
  Judgement Judge(const Samples& samples);

  const TrainableModel& model() const;
  // Writes the model file, with the schemes of quantized weights.
  void WriteModel(const std::filesystem::path& path) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lutra::qat

#endif  // LUTRA_QAT_TRAINER_H_
