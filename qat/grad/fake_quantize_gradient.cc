#include <cmath>

#include "qat/grad/gradients.h"

namespace lutra::qat {
namespace {

// dx = dy where x rounds to a number of the grid, 0 where it is beyond: the
// straight-through estimator (https://arxiv.org/abs/1308.3432).
class FakeQuantizeStep : public BackwardStep {
 public:
  FakeQuantizeStep(const Model& model, const Node& node,
                   const Execution& execution, const BackwardBinding& binding)
      : executor_(execution.executor),
        x_(Floats(binding.inputs[0])),
        dy_(binding.output_gradient),
        dx_(binding.input_gradients[0]),
        width_(model.value(node.output).ElementCount()),
        scale_(static_cast<float>(NumberAttribute(node, "scale"))),
        low_(static_cast<float>(NumberAttribute(node, "low"))),
        high_(static_cast<float>(NumberAttribute(node, "high"))) {}

  void Run(size_t m, const Call&) override {
    if (dx_.values == nullptr) return;
    ForEachElement(executor_, m * width_, dx_, [this](size_t i) {
      const float level = std::nearbyint(x_[i] / scale_);
      return level < low_ || level > high_ ? 0.0f : dy_[i];
    });
  }

 private:
  Executor* executor_;
  const float* x_;
  const float* dy_;
  GradientTarget dx_;
  size_t width_;
  float scale_;
  float low_;
  float high_;
};

class FakeQuantize : public OperatorGradient {
 public:
  bool NeedsInputs() const override { return true; }
  std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution& execution,
      const BackwardBinding& binding) const override {
    return std::make_unique<FakeQuantizeStep>(model, node, execution, binding);
  }
};

}  // namespace

const OperatorGradient& FakeQuantizeGradient() {
  static const FakeQuantize gradient;
  return gradient;
}

}  // namespace lutra::qat
