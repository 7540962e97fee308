#include <algorithm>

#include "qat/grad/gradients.h"

namespace lutra::qat {
namespace {

// An element that several take gets the sum of theirs, in their order.
class GatherStep : public BackwardStep {
 public:
  GatherStep(const Model& model, const Node& node, const Execution& execution,
             const BackwardBinding& binding)
      : executor_(execution.executor),
        dy_(binding.output_gradient),
        dx_(binding.input_gradients[0]),
        width_(model.value(node.inputs[0]).ElementCount()),
        count_(model.value(node.output).ElementCount()),
        places_(Tensor32(model, node.weight)) {}

  void Run(size_t m, const Call&) override {
    if (dx_.values == nullptr) return;
    ParallelFor(executor_, m, RowTile(width_),
                [this](size_t begin, size_t end) {
                  for (size_t row = begin; row < end; ++row) {
                    float* dx = dx_.values + row * width_;
                    if (!dx_.accumulate) std::fill_n(dx, width_, 0.0f);
                    const float* dy = dy_ + row * count_;
                    for (size_t i = 0; i < count_; ++i) {
                      dx[static_cast<size_t>(places_[i])] += dy[i];
                    }
                  }
                });
  }

 private:
  Executor* executor_;
  const float* dy_;
  GradientTarget dx_;
  size_t width_;
  size_t count_;
  const float* places_;
};

class Gather : public OperatorGradient {
 public:
  bool TrainsWeight() const override { return false; }
  std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution& execution,
      const BackwardBinding& binding) const override {
    return std::make_unique<GatherStep>(model, node, execution, binding);
  }
};

}  // namespace

const OperatorGradient& GatherGradient() {
  static const Gather gradient;
  return gradient;
}

}  // namespace lutra::qat
