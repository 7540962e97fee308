#include "lutra/runtime/half_power.h"
#include "qat/grad/gradients.h"

namespace lutra::qat {
namespace {

// dx = dy * e * x^(e - 1).
class PowerStep : public BackwardStep {
 public:
  PowerStep(const Model& model, const Node& node, const Execution& execution,
            const BackwardBinding& binding)
      : executor_(execution.executor),
        x_(Floats(binding.inputs[0])),
        dy_(binding.output_gradient),
        dx_(binding.input_gradients[0]),
        width_(model.value(node.output).ElementCount()),
        twice_(static_cast<int>(2 * NumberAttribute(node, "exponent"))) {}

  void Run(size_t m, const Call&) override {
    if (dx_.values == nullptr) return;
    const float exponent = 0.5f * static_cast<float>(twice_);
    ForEachElement(executor_, m * width_, dx_, [&](size_t i) {
      if (twice_ == 0) return 0.0f;
      return dy_[i] * exponent * HalfPower(x_[i], twice_ - 2);
    });
  }

 private:
  Executor* executor_;
  const float* x_;
  const float* dy_;
  GradientTarget dx_;
  size_t width_;
  int twice_;
};

class Power : public OperatorGradient {
 public:
  bool NeedsInputs() const override { return true; }
  std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution& execution,
      const BackwardBinding& binding) const override {
    return std::make_unique<PowerStep>(model, node, execution, binding);
  }
};

}  // namespace

const OperatorGradient& PowerGradient() {
  static const Power gradient;
  return gradient;
}

}  // namespace lutra::qat
