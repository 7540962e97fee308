#include "lutra/qat/averaging_optimizer.h"

#include <utility>

#include "kernels/base/parallel.h"
#include "lutra/runtime/error.h"
#include "runtime/base/work_size.h"

namespace lutra::qat {
namespace {

constexpr const char* kAverage = "average";

}  // namespace

AveragingOptimizer::AveragingOptimizer(std::unique_ptr<Optimizer> base,
                                       double decay)
    : base_(std::move(base)),
      decay_(static_cast<float>(decay)),
      rest_(static_cast<float>(1.0 - decay)) {
  if (base_ == nullptr) throw Error("averaging: needs a base optimizer");
  if (!(decay >= 0.0 && decay < 1.0)) {
    throw Error("the decay of the weights' average must be in [0, 1)");
  }
}

void AveragingOptimizer::Step(Executor* executor) {
  base_->Step(executor);
  for (const ParamGroup& group : groups()) {
    for (const Parameter& parameter : group.parameters) {
      if (!parameter.trainable || parameter.grad == nullptr) continue;
      std::vector<float>& average = state()[parameter.name][kAverage];
      const float* now = parameter.value;
      if (average.empty()) {
        average.assign(now, now + parameter.size());
        continue;
      }
      float* mean = average.data();
      ParallelFor(executor, average.size(), kElementsPerTask,
                  [=, this](size_t begin, size_t end) {
                    for (size_t i = begin; i < end; ++i) {
                      mean[i] = decay_ * mean[i] + rest_ * now[i];
                    }
                  });
    }
  }
}

void AveragingOptimizer::CheckState(const ParamGroup& group,
                                    const Parameter& parameter,
                                    const ParameterState& state,
                                    std::set<std::string>& unknown) const {
  base_->CheckState(group, parameter, state, unknown);
  unknown.erase(kAverage);
  const auto average = state.find(kAverage);
  // Before the first step there is no state at all.
  if (state.empty() ||
      (average != state.end() && average->second.size() == parameter.size())) {
    return;
  }
  throw Error("parameter '" + parameter.name +
              "': the average is missing or of the wrong size");
}

Span<const float> AveragingOptimizer::Average(
    const std::string& parameter) const {
  const auto& states = base_->state();
  const auto state = states.find(parameter);
  if (state == states.end()) return {};
  const auto average = state->second.find(kAverage);
  if (average == state->second.end()) return {};
  return average->second;
}

}  // namespace lutra::qat
