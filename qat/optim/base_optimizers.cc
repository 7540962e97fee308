#include "lutra/qat/base_optimizers.h"

#include <cmath>
#include <set>
#include <string>

#include "kernels/base/clones.h"
#include "kernels/base/parallel.h"
#include "lutra/runtime/error.h"
#include "runtime/base/work_size.h"

namespace lutra::qat {
namespace {

void CheckGroups(const std::vector<ParamGroup>& groups) {
  std::set<std::string> names;
  std::set<const float*> values;
  for (const ParamGroup& group : groups) {
    for (const Parameter& p : group.parameters) {
      const std::string who = "optimizer: parameter '" + p.name + "' ";
      if (!names.insert(p.name).second) throw Error(who + "occurs twice");
      for (const int64_t dimension : p.shape) {
        if (dimension < 0) throw Error(who + "has a negative dimension");
      }
      if (p.size() == 0) continue;
      if (p.value == nullptr) throw Error(who + "has no values");
      if (!values.insert(p.value).second) {
        throw Error(who + "shares its values with another one");
      }
    }
  }
}

class BaseOptimizer : public Optimizer {
 public:
  explicit BaseOptimizer(std::vector<ParamGroup> groups)
      : groups_(std::move(groups)) {
    CheckGroups(groups_);
  }

  std::vector<ParamGroup>& groups() override { return groups_; }
  std::map<std::string, ParameterState>& state() override { return state_; }

  void Step(Executor* executor) override {
    for (const ParamGroup& group : groups_) {
      for (const Parameter& parameter : group.parameters) {
        if (!parameter.trainable || parameter.grad == nullptr) continue;
        Update(group, parameter, state_[parameter.name], executor);
      }
    }
  }

 protected:
  virtual void Update(const ParamGroup& group, const Parameter& parameter,
                      ParameterState& state, Executor* executor) const = 0;

  // `required`: without it, a state without the entry is right, too.
  static void CheckEntry(const Parameter& parameter,
                         const ParameterState& state, const char* entry,
                         size_t size, bool required,
                         std::set<std::string>& unknown) {
    unknown.erase(entry);
    const auto it = state.find(entry);
    if (it == state.end()) {
      if (!required) return;
      throw Error("parameter '" + parameter.name + "': state '" + entry +
                  "' is missing");
    }
    if (it->second.size() == size) return;
    throw Error("parameter '" + parameter.name + "': state '" + entry +
                "' has " + std::to_string(it->second.size()) +
                " elements instead of " + std::to_string(size));
  }

 private:
  std::vector<ParamGroup> groups_;
  std::map<std::string, ParameterState> state_;
};

class Sgd : public BaseOptimizer {
 public:
  Sgd(std::vector<ParamGroup> groups, const SgdOptions& options)
      : BaseOptimizer(std::move(groups)), options_(options) {
    if (!(options.momentum >= 0.0) || !std::isfinite(options.momentum)) {
      throw Error("sgd: the momentum must not be negative");
    }
    if (options.nesterov &&
        !(options.momentum > 0.0 && options.dampening == 0.0)) {
      throw Error("sgd: nesterov needs a momentum and no dampening");
    }
  }

  std::string name() const override { return "sgd"; }

  void CheckState(const ParamGroup& /*group*/, const Parameter& parameter,
                  const ParameterState& state,
                  std::set<std::string>& unknown) const override {
    if (options_.momentum == 0.0) return;
    CheckEntry(parameter, state, "momentum_buffer", parameter.size(),
               /*required=*/false, unknown);
  }

 private:
  void Update(const ParamGroup& group, const Parameter& parameter,
              ParameterState& state, Executor* executor) const override {
    const size_t size = parameter.size();
    float* w = parameter.value;
    const float* grad = parameter.grad;
    float* buffer = nullptr;
    bool first = false;
    if (options_.momentum != 0.0) {
      std::vector<float>& entry = state["momentum_buffer"];
      first = entry.empty();
      entry.resize(size);
      buffer = entry.data();
    }
    const auto decay = static_cast<float>(group.weight_decay);
    const auto momentum = static_cast<float>(options_.momentum);
    const auto keep = static_cast<float>(1.0 - options_.dampening);
    const auto minus_lr = static_cast<float>(-group.lr);
    const bool nesterov = options_.nesterov;
    ParallelFor(
        executor, size, kElementsPerTask, [=](size_t begin, size_t end) {
          for (size_t i = begin; i < end; ++i) {
            float g = grad[i];
            if (decay != 0.0f) g = g + decay * w[i];
            if (buffer != nullptr) {
              const float m = first ? g : buffer[i] * momentum + keep * g;
              buffer[i] = m;
              g = nesterov ? g + momentum * m : m;
            }
            w[i] = w[i] + minus_lr * g;
          }
        });
  }

  SgdOptions options_;
};

// What a step of Adam or AdamW needs, evaluated in double and rounded once.
struct AdamFactors {
  float shrink;  // of the weights, 1 for Adam
  float decay;   // part of the weight in the gradient, 0 for AdamW
  // m + weight * (g - m) is computed from the end that is nearer, as PyTorch's
  // lerp does.
  bool from_start;
  float weight;  // from that end
  float beta2;
  float rest2;  // 1 - beta2
  float root;   // sqrt(1 - beta2^t)
  float minus_step;
  float epsilon;
};

// One step on n values. The choices are constants and the arrays distinct, or
// the loop would not vectorise.
template <bool kDecay, bool kFromStart>
void UpdateAdam(const AdamFactors& factors, const float* __restrict grad,
                float* __restrict w, float* __restrict mean,
                float* __restrict square, size_t n) {
  const AdamFactors f = factors;
  for (size_t i = 0; i < n; ++i) {
    const float w0 = w[i] * f.shrink;
    float g = grad[i];
    if constexpr (kDecay) g = g + f.decay * w0;
    const float move = (g - mean[i]) * f.weight;
    const float m = kFromStart ? mean[i] + move : g - move;
    const float v = square[i] * f.beta2 + (f.rest2 * g) * g;
    const float denominator = std::sqrt(v) / f.root + f.epsilon;
    mean[i] = m;
    square[i] = v;
    w[i] = w0 + (f.minus_step * m) / denominator;
  }
}

LUTRA_CLONES void UpdateAdam(const AdamFactors& f, const float* grad, float* w,
                             float* mean, float* square, size_t n) {
  if (f.decay != 0.0f) {
    return f.from_start ? UpdateAdam<true, true>(f, grad, w, mean, square, n)
                        : UpdateAdam<true, false>(f, grad, w, mean, square, n);
  }
  return f.from_start ? UpdateAdam<false, true>(f, grad, w, mean, square, n)
                      : UpdateAdam<false, false>(f, grad, w, mean, square, n);
}

class Adam : public BaseOptimizer {
 public:
  Adam(std::vector<ParamGroup> groups, const AdamOptions& options,
       bool decoupled)
      : BaseOptimizer(std::move(groups)),
        options_(options),
        decoupled_(decoupled) {
    const auto is_beta = [](double x) { return x >= 0.0 && x < 1.0; };
    if (!is_beta(options.beta1) || !is_beta(options.beta2)) {
      throw Error(name() + ": the betas must lie in [0, 1)");
    }
    if (!(options.epsilon >= 0.0)) {
      throw Error(name() + ": epsilon must not be negative");
    }
  }

  std::string name() const override { return decoupled_ ? "adamw" : "adam"; }

  void CheckState(const ParamGroup& /*group*/, const Parameter& parameter,
                  const ParameterState& state,
                  std::set<std::string>& unknown) const override {
    const bool any = state.contains(kStep) || state.contains(kMean) ||
                     state.contains(kSquare);
    const size_t size = parameter.size();
    CheckEntry(parameter, state, kStep, 1, any, unknown);
    CheckEntry(parameter, state, kMean, size, any, unknown);
    CheckEntry(parameter, state, kSquare, size, any, unknown);
  }

 private:
  static constexpr const char* kStep = "step";
  static constexpr const char* kMean = "exp_avg";
  static constexpr const char* kSquare = "exp_avg_sq";

  void Update(const ParamGroup& group, const Parameter& parameter,
              ParameterState& state, Executor* executor) const override {
    const size_t size = parameter.size();
    std::vector<float>& step = state[kStep];
    std::vector<float>& mean = state[kMean];
    std::vector<float>& square = state[kSquare];
    step.resize(1);
    mean.resize(size);
    square.resize(size);
    step[0] += 1.0f;

    const AdamFactors factors = FactorsOf(group, static_cast<double>(step[0]));
    float* w = parameter.value;
    const float* grad = parameter.grad;
    float* ms = mean.data();
    float* vs = square.data();
    ParallelFor(executor, size, kElementsPerTask,
                [=, &factors](size_t begin, size_t end) {
                  UpdateAdam(factors, grad + begin, w + begin, ms + begin,
                             vs + begin, end - begin);
                });
  }

  // Of step t.
  AdamFactors FactorsOf(const ParamGroup& group, double t) const {
    const double correction1 = 1.0 - std::pow(options_.beta1, t);
    const double correction2 = 1.0 - std::pow(options_.beta2, t);
    const auto rest1 = static_cast<float>(1.0 - options_.beta1);
    const double decay = group.weight_decay;
    AdamFactors f{};
    f.shrink = decoupled_ ? static_cast<float>(1.0 - group.lr * decay) : 1.0f;
    f.decay = decoupled_ ? 0.0f : static_cast<float>(decay);
    f.from_start = std::fabs(rest1) < 0.5f;
    f.weight = f.from_start ? rest1 : 1.0f - rest1;
    f.beta2 = static_cast<float>(options_.beta2);
    f.rest2 = static_cast<float>(1.0 - options_.beta2);
    f.root = static_cast<float>(std::sqrt(correction2));
    f.minus_step = static_cast<float>(-(group.lr / correction1));
    f.epsilon = static_cast<float>(options_.epsilon);
    return f;
  }

  AdamOptions options_;
  bool decoupled_;
};

}  // namespace

size_t Parameter::size() const {
  size_t product = 1;
  for (const int64_t dimension : shape) {
    product *= static_cast<size_t>(dimension);
  }
  return product;
}

std::unique_ptr<Optimizer> MakeSgd(std::vector<ParamGroup> groups,
                                   const SgdOptions& options) {
  return std::make_unique<Sgd>(std::move(groups), options);
}

std::unique_ptr<Optimizer> MakeAdam(std::vector<ParamGroup> groups,
                                    const AdamOptions& options) {
  return std::make_unique<Adam>(std::move(groups), options, false);
}

std::unique_ptr<Optimizer> MakeAdamW(std::vector<ParamGroup> groups,
                                     const AdamOptions& options) {
  return std::make_unique<Adam>(std::move(groups), options, true);
}

}  // namespace lutra::qat
