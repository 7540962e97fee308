#include <optional>

#include "kernels/base/round.h"
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

// dx = dy where x, or with a scale the integer nearest to x / scale, is between
// low and high, else 0: of clamp, and of fake_quantize, as the straight-through
// estimator has it (https://arxiv.org/abs/1308.3432).
class BoundedStep : public BackwardStep {
 public:
  BoundedStep(const Model& model, const Node& node, const Execution& execution,
              const BackwardBinding& binding)
      : executor_(execution.executor),
        x_(Floats(binding.inputs[0])),
        dy_(binding.output_gradient),
        dx_(binding.input_gradients[0]),
        width_(model.value(node.output).ElementCount()),
        low_(static_cast<float>(NumberAttribute(node, "low"))),
        high_(static_cast<float>(NumberAttribute(node, "high"))) {
    if (node.op == OpType::kFakeQuantize) {
      scale_ = static_cast<float>(NumberAttribute(node, "scale"));
    }
  }

  void Run(size_t m, const Call&) override {
    if (dx_.values == nullptr) return;
    if (scale_) {
      Pass(m, [this](float x) {
        return RoundToEven(x / *scale_, low_ - 1, high_ + 1);
      });
    } else {
      Pass(m, [](float x) { return x; });
    }
  }

 private:
  template <typename Function>
  void Pass(size_t m, const Function& function) {
    ForEachElement(executor_, m * width_, dx_, [&](size_t i) {
      const float x = function(x_[i]);
      return x < low_ || x > high_ ? 0.0f : dy_[i];
    });
  }

  Executor* executor_;
  const float* x_;
  const float* dy_;
  GradientTarget dx_;
  size_t width_;
  float low_;
  float high_;
  std::optional<float> scale_;
};

class Bounded : public OperatorGradient {
 public:
  bool NeedsInputs() const override { return true; }
  std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution& execution,
      const BackwardBinding& binding) const override {
    return std::make_unique<BoundedStep>(model, node, execution, binding);
  }
};

}  // namespace

const OperatorGradient& ScaleGradient() {
  static const Scale gradient;
  return gradient;
}

const OperatorGradient& ClampGradient() {
  static const Bounded gradient;
  return gradient;
}

const OperatorGradient& FakeQuantizeGradient() { return ClampGradient(); }

}  // namespace lutra::qat
