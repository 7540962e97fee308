#include "qat/grad/gradients.h"

namespace lutra::qat {
namespace {

// The tensor gets the sum of the gradients of all rows.
class ConstantStep : public BackwardStep {
 public:
  ConstantStep(const Model& model, const Node& node, const Execution& execution,
               const BackwardBinding& binding)
      : executor_(execution.executor),
        dy_(binding.output_gradient),
        dweight_(binding.weight_gradient),
        width_(model.value(node.output).ElementCount()) {}

  void Run(size_t m, const Call&) override {
    if (dweight_ == nullptr) return;
    AddColumnSums(executor_, dy_, m, width_, dweight_);
  }

 private:
  Executor* executor_;
  const float* dy_;
  float* dweight_;
  size_t width_;
};

class Constant : public OperatorGradient {
 public:
  std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution& execution,
      const BackwardBinding& binding) const override {
    return std::make_unique<ConstantStep>(model, node, execution, binding);
  }
};

}  // namespace

const OperatorGradient& ConstantGradient() {
  static const Constant gradient;
  return gradient;
}

}  // namespace lutra::qat
