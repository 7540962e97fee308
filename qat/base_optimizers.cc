#include "lutra/qat/base_optimizers.h"

#include <cmath>
#include <set>
#include <string>

#include "lutra/runtime/error.h"
#include "qat/parallel.h"

namespace lutra::qat {
namespace {

// Elements per piece of work.
constexpr size_t kTile = 16384;

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

  void Step(pthreadpool_t pool) override {
    for (const ParamGroup& group : groups_) {
      for (const Parameter& parameter : group.parameters) {
        if (!parameter.trainable || parameter.grad == nullptr) continue;
        Update(group, parameter, state_[parameter.name], pool);
      }
    }
  }

 protected:
  virtual void Update(const ParamGroup& group, const Parameter& parameter,
                      ParameterState& state, pthreadpool_t pool) const = 0;

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
              ParameterState& state, pthreadpool_t pool) const override {
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
    ParallelFor(pool, size, kTile, [=](size_t begin, size_t end) {
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

// m + weight * (g - m), from the end that is nearer: PyTorch's lerp.
struct Lerp {
  explicit Lerp(double weight)
      : from_start(std::fabs(static_cast<float>(weight)) < 0.5f),
        factor(from_start ? static_cast<float>(weight)
                          : 1.0f - static_cast<float>(weight)) {}

  float operator()(float m, float g) const {
    const float step = (g - m) * factor;
    return from_start ? m + step : g - step;
  }

  bool from_start;
  float factor;
};

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
              ParameterState& state, pthreadpool_t pool) const override {
    const size_t size = parameter.size();
    std::vector<float>& step = state[kStep];
    std::vector<float>& mean = state[kMean];
    std::vector<float>& square = state[kSquare];
    step.resize(1);
    mean.resize(size);
    square.resize(size);
    step[0] += 1.0f;

    // Schedules are evaluated in double, then rounded once.
    const auto t = static_cast<double>(step[0]);
    const double correction1 = 1.0 - std::pow(options_.beta1, t);
    const double correction2 = 1.0 - std::pow(options_.beta2, t);
    const auto minus_step = static_cast<float>(-(group.lr / correction1));
    const auto root = static_cast<float>(std::sqrt(correction2));
    const auto shrink = static_cast<float>(1.0 - group.lr * group.weight_decay);
    const auto decay = static_cast<float>(group.weight_decay);
    const auto beta2 = static_cast<float>(options_.beta2);
    const auto rest2 = static_cast<float>(1.0 - options_.beta2);
    const auto epsilon = static_cast<float>(options_.epsilon);
    const Lerp lerp(1.0 - options_.beta1);
    const bool decoupled = decoupled_ && group.weight_decay != 0.0;
    const bool coupled = !decoupled_ && group.weight_decay != 0.0;

    float* w = parameter.value;
    const float* grad = parameter.grad;
    float* ms = mean.data();
    float* vs = square.data();
    ParallelFor(pool, size, kTile, [=](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) {
        const float w0 = decoupled ? w[i] * shrink : w[i];
        const float g = coupled ? grad[i] + decay * w0 : grad[i];
        const float m = lerp(ms[i], g);
        const float v = vs[i] * beta2 + (rest2 * g) * g;
        const float denominator = std::sqrt(v) / root + epsilon;
        ms[i] = m;
        vs[i] = v;
        w[i] = w0 + (minus_step * m) / denominator;
      }
    });
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
