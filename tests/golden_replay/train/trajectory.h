#ifndef LUTRA_TESTS_GOLDEN_REPLAY_TRAIN_TRAJECTORY_H_
#define LUTRA_TESTS_GOLDEN_REPLAY_TRAIN_TRAJECTORY_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lutra/qat/learning_rate.h"
#include "lutra/qat/loss.h"
#include "lutra/qat/optimizer.h"
#include "lutra/qat/samples.h"
#include "lutra/qat/scheme.h"
#include "lutra/qat/tensor.h"
#include "tests/golden_replay/comparison.h"
#include "tests/golden_replay/golden_file.h"

namespace lutra::golden {

// The annealing of a run.
struct RecordedParq {
  int64_t period = 1;
  int64_t warmup = 0;
  int64_t start = 0;
  int64_t end = 0;
  double steepness = 10.0;
  double decay_share = 0.0;

  explicit RecordedParq(const nlohmann::json& description);
};

// What a run may differ by: the README's numbers without int8 activations.
struct Tolerances {
  double loss = 2e-5;
  double norm = 5e-5;  // relative
  double first_gradient = 1e-5;
  double final = 2e-4;
  double indices = 2e-4;  // share that may differ
  double eval = 2e-5;
};
// With them: a code on the other side of a half moves the loss by 1e-4.
Tolerances RoundedActivationTolerances();

// A run as it is described, to be done again.
struct Trajectory {
  Graph graph;
  qat::TensorMap parameters;  // before the first step
  size_t steps = 0;
  std::function<qat::SampleBatch(size_t step)> batch;
  std::function<std::unique_ptr<qat::Optimizer>(std::vector<qat::ParamGroup>)>
      optimizer;
  double learning_rate = 0.0;
  qat::LearningRateSchedule schedule;
  double weight_decay = 0.0;
  double clip = 0.0;
  qat::ClassificationOptions loss;
  // What the optimizer quantizes, and how.
  qat::SchemeMap schemes;
  std::optional<RecordedParq> parq;
  // Of distillation, the same graph.
  const qat::TensorMap* teacher = nullptr;
  // Parameters that are not trained.
  std::set<std::string, std::less<>> frozen = {};
  Tolerances tolerances;
};

// Where the record of a run lies: its tensors begin with `prefix`, and those of
// parameters are called as `names` says.
struct TrajectoryRecord {
  const GoldenFile& file;
  std::string prefix;
  std::map<std::string, std::string> names;  // of the record -> of the graph

  bool Has(const std::string& tensor) const {
    return file.Has(prefix + tensor);
  }
  template <typename T>
  std::vector<T> Load(const std::string& tensor) const {
    return file.Load<T>(prefix + tensor);
  }
};

// Runs it and compares; `parameters` are then those after the last step.
void ReplayTrajectory(Trajectory& trajectory, const TrajectoryRecord& record,
                      Comparison& comparison);

}  // namespace lutra::golden

#endif  // LUTRA_TESTS_GOLDEN_REPLAY_TRAIN_TRAJECTORY_H_
