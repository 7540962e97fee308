#ifndef LUTRA_TESTS_GOLDEN_REPLAY_TRAIN_CASES_H_
#define LUTRA_TESTS_GOLDEN_REPLAY_TRAIN_CASES_H_

#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "tests/golden_replay/comparison.h"
#include "tests/golden_replay/golden_file.h"

namespace lutra::golden {

// A case of results and gradients: its JSON, and the tensors under its prefix.
struct TrainingCase {
  const GoldenFile& file;
  const nlohmann::json& json;

  std::string Op() const { return json.at("op").get<std::string>(); }
  std::string Tensor(const std::string& name) const {
    return json.at("prefix").get<std::string>() + "/" + name;
  }
  bool Has(const std::string& name) const { return file.Has(Tensor(name)); }
  template <typename T>
  std::vector<T> Load(const std::string& name) const {
    return file.Load<T>(Tensor(name));
  }
  const std::vector<int64_t>& Shape(const std::string& name) const {
    return file.Shape(Tensor(name));
  }
  const nlohmann::json& attributes() const { return json.at("attributes"); }
  // Compares with the tensor `name` by the rule of the README.
  void Compare(const std::string& name, std::span<const float> got,
               Comparison& comparison) const;
};

// An operator of model files, run by a TrainingProgram.
void ReplayOperator(const TrainingCase& c, Comparison& comparison);
// nullptr if there is no such loss.
using LossReplay = void (*)(const TrainingCase&, Comparison&);
LossReplay FindLoss(const std::string& op);

}  // namespace lutra::golden

#endif  // LUTRA_TESTS_GOLDEN_REPLAY_TRAIN_CASES_H_
