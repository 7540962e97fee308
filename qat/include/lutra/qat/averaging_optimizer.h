#ifndef LUTRA_QAT_AVERAGING_OPTIMIZER_H_
#define LUTRA_QAT_AVERAGING_OPTIMIZER_H_

#include <memory>
#include <string>

#include "lutra/kernels/span.h"
#include "lutra/qat/optimizer.h"

namespace lutra::qat {

// Keeps an exponential moving average of the parameters beside any optimizer
// (Polyak and Juditsky, "Acceleration of Stochastic Approximation by
// Averaging", 1992): a copy after the first step, and then
// decay * average + (1 - decay) * values. State: "average" [size] per parameter
// that is stepped.
class AveragingOptimizer : public Optimizer {
 public:
  // Throws lutra::Error unless 0 <= decay < 1.
  AveragingOptimizer(std::unique_ptr<Optimizer> base, double decay);

  std::string name() const override { return "averaging-" + base_->name(); }
  void Step(Executor* executor) override;
  std::vector<ParamGroup>& groups() override { return base_->groups(); }
  std::map<std::string, ParameterState>& state() override {
    return base_->state();
  }
  void CheckState(const ParamGroup& group, const Parameter& parameter,
                  const ParameterState& state,
                  std::set<std::string>& unknown) const override;

  // Empty before the first step.
  Span<const float> Average(const std::string& parameter) const;

 private:
  std::unique_ptr<Optimizer> base_;
  float decay_;
  float rest_;
};

}  // namespace lutra::qat

#endif  // LUTRA_QAT_AVERAGING_OPTIMIZER_H_
