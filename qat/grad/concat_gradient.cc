#include "qat/grad/gradients.h"

namespace lutra::qat {
namespace {

// Each input gets the part of the gradient that is its own.
class ConcatStep : public BackwardStep {
 public:
  ConcatStep(const Model& model, const Node& node, const Execution& execution,
             const BackwardBinding& binding)
      : binding_(binding), executor_(execution.executor) {
    for (size_t i = 0; i < 2; ++i) {
      const ValueInfo& input = model.value(node.inputs[i]);
      counts_[i] = input.ElementCount();
      widths_[i] = static_cast<size_t>(input.shape.back());
    }
  }

  void Run(size_t m, const Call&) override {
    const float* dy = binding_.output_gradient;
    const size_t width = widths_[0] + widths_[1];
    for (size_t input = 0; input < 2; ++input) {
      const GradientTarget& dx = binding_.input_gradients[input];
      if (dx.values == nullptr) continue;
      const size_t own = widths_[input];
      const size_t begin = input == 0 ? 0 : widths_[0];
      ForEachElement(executor_, m * counts_[input], dx, [=](size_t i) {
        return dy[i / own * width + begin + i % own];
      });
    }
  }

 private:
  BackwardBinding binding_;
  Executor* executor_;
  size_t counts_[2] = {};
  size_t widths_[2] = {};
};

class Concat : public OperatorGradient {
 public:
  std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution& execution,
      const BackwardBinding& binding) const override {
    return std::make_unique<ConcatStep>(model, node, execution, binding);
  }
};

}  // namespace

const OperatorGradient& ConcatGradient() {
  static const Concat gradient;
  return gradient;
}

}  // namespace lutra::qat
