#include "qat/grad/gradients.h"

namespace lutra::qat {
namespace {

// dx = dy, as the straight-through estimator has it
// (https://arxiv.org/abs/1308.3432): no element is outside of the range.
class DynamicQuantizeStep : public BackwardStep {
 public:
  DynamicQuantizeStep(size_t width, const Execution& execution,
                      const BackwardBinding& binding)
      : width_(width),
        executor_(execution.executor),
        dy_(binding.output_gradient),
        dx_(binding.input_gradients[0]) {}

  void Run(size_t m, const Call&) override {
    if (dx_.values == nullptr) return;
    ForEachElement(executor_, m * width_, dx_,
                   [dy = dy_](size_t i) { return dy[i]; });
  }

 private:
  size_t width_;
  Executor* executor_;
  const float* dy_;
  GradientTarget dx_;
};

class DynamicQuantize : public OperatorGradient {
 public:
  std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution& execution,
      const BackwardBinding& binding) const override {
    return std::make_unique<DynamicQuantizeStep>(
        model.value(node.output).ElementCount(), execution, binding);
  }
};

}  // namespace

const OperatorGradient& DynamicQuantizeGradient() {
  static const DynamicQuantize gradient;
  return gradient;
}

}  // namespace lutra::qat
