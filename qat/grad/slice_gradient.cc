#include "qat/grad/gradients.h"

namespace lutra::qat {
namespace {

class SliceStep : public BackwardStep {
 public:
  SliceStep(const Model& model, const Node& node, const Execution& execution,
            const BackwardBinding& binding)
      : executor_(execution.executor),
        dy_(binding.output_gradient),
        dx_(binding.input_gradients[0]),
        width_(model.value(node.inputs[0]).ElementCount()),
        begin_(CountAttribute(node, "begin")),
        length_(CountAttribute(node, "length")) {}

  void Run(size_t m, const Call&) override {
    if (dx_.values == nullptr) return;
    ForEachElement(executor_, m * width_, dx_, [this](size_t i) {
      const size_t place = i % width_;
      const bool taken = place >= begin_ && place < begin_ + length_;
      return taken ? dy_[i / width_ * length_ + place - begin_] : 0.0f;
    });
  }

 private:
  Executor* executor_;
  const float* dy_;
  GradientTarget dx_;
  size_t width_;
  size_t begin_;
  size_t length_;
};

class Slice : public OperatorGradient {
 public:
  std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution& execution,
      const BackwardBinding& binding) const override {
    return std::make_unique<SliceStep>(model, node, execution, binding);
  }
};

}  // namespace

const OperatorGradient& SliceGradient() {
  static const Slice gradient;
  return gradient;
}

}  // namespace lutra::qat
