#ifndef LUTRA_QAT_TRAINER_H_
#define LUTRA_QAT_TRAINER_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "lutra/kernels/executor.h"
#include "lutra/qat/dataset.h"
#include "lutra/qat/scheme.h"
#include "lutra/qat/trainable_model.h"

// Trains a graph to classify, with float or with quantized weights: softmax
// cross-entropy, AdamW, a learning rate that rises linearly and then falls as a
// cosine to 0, and for quantized weights PARQ (QuantOptimizer).

namespace lutra::qat {

struct QuantizedTraining {
  // The weights to quantize. One grid per row, or per group of a row, whose
  // size must divide the row.
  SchemeMap schemes;
  // "parq", "hard" or "binaryrelax".
  std::string prox_map = "parq";
  // Where annealing starts and ends, in epochs from the start; "hard" ignores
  // them. The end must leave at least one step, so that the weights finish on
  // their grid.
  double anneal_start = 0.0;
  double anneal_end = 1.0;
  double anneal_steepness = 10.0;  // "parq" only
  // Grids are derived anew every that many steps.
  int64_t period = 1;
};

struct TrainOptions {
  int64_t epochs = 10;
  size_t batch_size = 128;  // the last batch of an epoch may be smaller
  double learning_rate = 1e-3;
  double warmup_epochs = 0.5;
  double weight_decay = 0.01;  // of weights; biases have none
  uint64_t seed = 1;           // order of the images
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
  double loss = 0.0;      // means over the images of this epoch so far
  double accuracy = 0.0;  // in [0, 1]
  double learning_rate = 0.0;
  std::optional<double> inverse_slope;  // of "parq": 1 (float) to 0 (on grid)
  double seconds_left = 0.0;
};

// Called after each step; returns whether to go on.
using TrainObserver = std::function<bool(const TrainProgress&)>;

// One run of training. The result depends on the model, the data and the
// options alone, not on the number of threads, nor on whether the run was
// interrupted and resumed. Not thread-safe.
class Trainer {
 public:
  // Checks that model, data and options fit each other. `data` and `executor`
  // (nullptr: the calling thread) must outlive the trainer. Throws
  // lutra::Error.
  Trainer(TrainableModel model, const LabelledImages& data,
          const TrainOptions& options, Executor* executor);
  ~Trainer();

  // Continues the run whose checkpoint is at options.checkpoint. Throws
  // lutra::Error, and changes nothing, if that is damaged or belongs to another
  // model, other data or other options.
  void Resume();

  // Runs the steps that remain. Returns false if the observer stopped it.
  // Throws lutra::Error, naming the step, when the loss is not finite.
  bool Run(const TrainObserver& observer);

  // Fraction of images whose largest output is that of their label.
  double Accuracy(const LabelledImages& images);

  const TrainableModel& model() const;
  // Writes the model file, with the schemes of quantized weights.
  void WriteModel(const std::filesystem::path& path) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lutra::qat

#endif  // LUTRA_QAT_TRAINER_H_
