#ifndef LUTRA_QAT_SCALE_TUNER_H_
#define LUTRA_QAT_SCALE_TUNER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lutra/kernels/executor.h"
#include "lutra/qat/samples.h"
#include "lutra/qat/trainable_model.h"

// Short training of a packed network in which no index changes: only the scales
// of groups, and the gains of norms, learn to give the outputs of the float
// network (the second phase of EfficientQAT, Chen et al.,
// https://arxiv.org/abs/2407.11062, with the float model as teacher). The loss
// is the Kullback-Leibler divergence from the teacher's probabilities.

namespace lutra::qat {

// A parameter w [n, k] of the student whose levels stay:
//   w[n][i] = scales[n][i / group_size] * levels[n][i] (+ offsets[n][i / ...])
struct ScaledWeight {
  std::string name;
  size_t k = 0;
  size_t group_size = 0;
  std::vector<int8_t> levels;  // [n, k]
  std::vector<float> scales;   // [n, groups]
  std::vector<float> offsets;  // the same, or empty

  size_t Groups() const { return (k + group_size - 1) / group_size; }
  // w, in the arithmetic of packed weights.
  void Dequantize(float* w) const;
};

struct ScaleTunerOptions {
  int64_t steps = 100;
  size_t batch_size = 8;  // samples of a step
  // Of Adam (betas 0.9 and 0.95) on factors that scales and gains are
  // multiplied by; rises over the first tenth of the steps and falls as a
  // cosine to a tenth.
  double learning_rate = 1e-3;
  double clip = 1.0;  // norm of the gradient of the factors
  uint64_t seed = 1;
  Executor* executor = nullptr;
};

class ScaleTuner {
 public:
  // `student` has the parameter of each of `weights`; it, `weights`, `teacher`
  // and `samples` must outlive this, and change by Run alone. Throws
  // lutra::Error where they do not fit.
  ScaleTuner(TrainableModel& student, std::vector<ScaledWeight>& weights,
             const TrainableModel& teacher, const Samples& samples,
             const ScaleTunerOptions& options);
  ~ScaleTuner();
  ScaleTuner(const ScaleTuner&) = delete;
  ScaleTuner& operator=(const ScaleTuner&) = delete;

  // Bytes beside the parameters of both networks.
  size_t MemoryBytes() const;

  // Called after every step with its number, from 1, and the mean loss per row.
  // What it throws ends the work; scales are then those of the steps before.
  using Progress = std::function<void(int64_t step, double loss)>;
  // The same bits for any number of threads. Throws lutra::Error for a loss
  // that is not finite.
  void Run(const Progress& progress = {});

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lutra::qat

#endif  // LUTRA_QAT_SCALE_TUNER_H_
