#ifndef LUTRA_QAT_OPTIMIZER_H_
#define LUTRA_QAT_OPTIMIZER_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lutra/kernels/executor.h"

// Optimizers over parameters that the caller owns: a training program of any
// kind hands in values and gradients.

namespace lutra::qat {

struct Parameter {
  std::string name;  // unique among all groups
  std::vector<int64_t> shape;
  float* value = nullptr;       // owned by the caller, changed by Step
  const float* grad = nullptr;  // same shape; nullptr: no gradient
  bool trainable = true;

  size_t size() const;
};

// Hyper-parameters of a group; as in PyTorch each optimizer reads those it
// knows, and a scheduler may change them between steps.
struct ParamGroup {
  std::vector<Parameter> parameters;
  double lr = 1e-3;
  double weight_decay = 0.0;

  // Quantization: groups with bits below 16 are quantized (0: ternary).
  std::optional<int> quant_bits;
  std::optional<int64_t> quant_block_size;

  // Written by QuantOptimizer.
  std::optional<double> cumu_lr;
  std::optional<double> initial_weight_decay;
  std::optional<double> inv_slope;
  std::optional<int64_t> num_steps;  // in the first quantized group only
};

// Per-parameter state by entry name ("momentum_buffer", "exp_avg", "latent"
// ...), each a flat float array; "step" has one element.
using ParameterState = std::map<std::string, std::vector<float>>;

class Optimizer {
 public:
  virtual ~Optimizer() = default;

  // The method, e.g. "adamw". Saved with the state and compared when it is
  // loaded (lutra/qat/optimizer_state.h).
  virtual std::string name() const = 0;

  // One step on every trainable parameter that has a gradient.
  virtual void Step(Executor* executor) = 0;

  virtual std::vector<ParamGroup>& groups() = 0;
  // State by parameter name; entries appear with the first step. Entries that
  // an optimizer does not know belong to one around it and are left alone.
  virtual std::map<std::string, ParameterState>& state() = 0;

  // Throws lutra::Error unless `state`, read from a file, can be the state of
  // `parameter`: every entry this optimizer needs, of the right size. Removes
  // from `unknown` the names of the entries it knows.
  virtual void CheckState(const ParamGroup& group, const Parameter& parameter,
                          const ParameterState& state,
                          std::set<std::string>& unknown) const = 0;
};

}  // namespace lutra::qat

#endif  // LUTRA_QAT_OPTIMIZER_H_
