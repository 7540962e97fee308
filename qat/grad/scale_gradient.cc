#include "qat/grad/gradients.h"
#include "qat/grad/sum.h"

namespace lutra::qat {
namespace {

// dx = dy * factor * weight, dweight = factor * the sum of dy * x.
class ScaleStep : public BackwardStep {
 public:
  ScaleStep(const Model& model, const Node& node, const Execution& execution,
            const BackwardBinding& binding)
      : binding_(binding),
        executor_(execution.executor),
        width_(model.value(node.output).ElementCount()),
        factor_(static_cast<float>(NumberAttribute(node, "factor"))),
        weight_(node.weight.empty() ? nullptr : Tensor32(model, node.weight)) {}

  void Run(size_t m, const Call&) override {
    const size_t count = m * width_;
    const float* dy = binding_.output_gradient;
    const GradientTarget& target = binding_.input_gradients[0];
    if (target.values != nullptr) {
      const float factor = weight_ == nullptr ? factor_ : factor_ * weight_[0];
      ForEachElement(executor_, count, target,
                     [=](size_t i) { return dy[i] * factor; });
    }
    if (binding_.weight_gradient != nullptr) {
      const float* x = Floats(binding_.inputs[0]);
      *binding_.weight_gradient +=
          factor_ * Sum(count, [=](size_t i) { return dy[i] * x[i]; });
    }
  }

 private:
  BackwardBinding binding_;
  Executor* executor_;
  size_t width_;
  float factor_;
  const float* weight_;
};

class Scale : public OperatorGradient {
 public:
  bool NeedsInputs() const override { return true; }
  std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution& execution,
      const BackwardBinding& binding) const override {
    return std::make_unique<ScaleStep>(model, node, execution, binding);
  }
};

// dx = dy where x is between the limits, else 0.
class ClampStep : public BackwardStep {
 public:
  ClampStep(const Model& model, const Node& node, const Execution& execution,
            const BackwardBinding& binding)
      : executor_(execution.executor),
        x_(Floats(binding.inputs[0])),
        dy_(binding.output_gradient),
        dx_(binding.input_gradients[0]),
        width_(model.value(node.output).ElementCount()),
        low_(static_cast<float>(NumberAttribute(node, "low"))),
        high_(static_cast<float>(NumberAttribute(node, "high"))) {}

  void Run(size_t m, const Call&) override {
    if (dx_.values == nullptr) return;
    ForEachElement(executor_, m * width_, dx_, [this](size_t i) {
      return x_[i] < low_ || x_[i] > high_ ? 0.0f : dy_[i];
    });
  }

 private:
  Executor* executor_;
  const float* x_;
  const float* dy_;
  GradientTarget dx_;
  size_t width_;
  float low_;
  float high_;
};

class Clamp : public OperatorGradient {
 public:
  bool NeedsInputs() const override { return true; }
  std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution& execution,
      const BackwardBinding& binding) const override {
    return std::make_unique<ClampStep>(model, node, execution, binding);
  }
};

}  // namespace

const OperatorGradient& ScaleGradient() {
  static const Scale gradient;
  return gradient;
}

const OperatorGradient& ClampGradient() {
  static const Clamp gradient;
  return gradient;
}

}  // namespace lutra::qat
