#include "qat/grad/gradients.h"
#include "qat/grad/sum.h"

namespace lutra::qat {
namespace {

// dx = y * (dy - sum of dy * y), over rows of the last dimension.
class SoftmaxStep : public BackwardStep {
 public:
  SoftmaxStep(const Model& model, const Node& node, const Execution& execution,
              const BackwardBinding& binding)
      : executor_(execution.executor),
        y_(binding.output),
        dy_(binding.output_gradient),
        dx_(binding.input_gradients[0]) {
    const ValueInfo& value = model.value(node.output);
    width_ = static_cast<size_t>(value.shape.back());
    rows_ = value.ElementCount() / width_;
  }

  void Run(size_t m, const Call&) override {
    if (dx_.values == nullptr) return;
    ParallelFor(executor_, m * rows_, RowTile(width_),
                [this](size_t begin, size_t end) {
                  for (size_t row = begin; row < end; ++row) Row(row * width_);
                });
  }

 private:
  void Row(size_t offset) const {
    const float* y = y_ + offset;
    const float* dy = dy_ + offset;
    float* dx = dx_.values + offset;
    const float dot = Sum(width_, [=](size_t i) { return y[i] * dy[i]; });
    if (dx_.accumulate) {
      for (size_t i = 0; i < width_; ++i) dx[i] += y[i] * (dy[i] - dot);
    } else {
      for (size_t i = 0; i < width_; ++i) dx[i] = y[i] * (dy[i] - dot);
    }
  }

  Executor* executor_;
  const float* y_;
  const float* dy_;
  GradientTarget dx_;
  size_t rows_ = 0;  // in a row of the call
  size_t width_ = 0;
};

class Softmax : public OperatorGradient {
 public:
  bool NeedsOutput() const override { return true; }
  std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution& execution,
      const BackwardBinding& binding) const override {
    return std::make_unique<SoftmaxStep>(model, node, execution, binding);
  }
};

}  // namespace

const OperatorGradient& SoftmaxGradient() {
  static const Softmax gradient;
  return gradient;
}

}  // namespace lutra::qat
