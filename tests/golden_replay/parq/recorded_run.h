#ifndef LUTRA_TESTS_GOLDEN_REPLAY_PARQ_RECORDED_RUN_H_
#define LUTRA_TESTS_GOLDEN_REPLAY_PARQ_RECORDED_RUN_H_

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lutra/qat/quant_optimizer.h"
#include "tests/golden_replay/comparison.h"
#include "tests/golden_replay/golden_file.h"

namespace lutra::qat {

// An optimization run that a case describes: its parameters ("init/NAME"), the
// optimizer made of the case's hyper-parameters, and what was recorded.
class RecordedRun {
 public:
  using Buffers = std::map<std::string, std::vector<float>>;

  RecordedRun(const golden::GoldenFile& file,
              const nlohmann::json& description);

  // Steps that were recorded.
  size_t steps() const { return steps_; }
  const Buffers& values() const { return values_; }
  // Gradients of the next step, to be filled by the caller.
  Buffers& gradients() { return gradients_; }
  // Fills them with the recorded gradients of a step.
  void LoadGradients(size_t step);

  // Does a step, with the learning rate the case prescribes for it, and saves
  // and rebuilds everything before it if the case says so.
  void Step(size_t step);

  // Compares values, latents and group fields with the record of that step.
  void CompareStep(size_t step, golden::Comparison& comparison);
  // Compares the optimizer's state with what was recorded after the last step.
  void CompareFinal(golden::Comparison& comparison);

 private:
  std::unique_ptr<QuantOptimizer> MakeOptimizer();
  std::vector<ParamGroup> MakeGroups();
  void AddParameter(const std::string& name, ParamGroup& group);
  void Resume();
  void CompareGroups(size_t step, golden::Comparison& comparison);
  const std::vector<float>& Recorded(const std::string& tensor);

  const golden::GoldenFile& file_;
  const nlohmann::json& case_;
  std::string name_;
  size_t steps_ = 0;
  Buffers values_;
  Buffers gradients_;
  Buffers recorded_;  // tensors read so far
  std::unique_ptr<QuantOptimizer> optimizer_;
  std::vector<double> initial_lr_;  // of the groups
};

}  // namespace lutra::qat

#endif  // LUTRA_TESTS_GOLDEN_REPLAY_PARQ_RECORDED_RUN_H_
