#include "lutra/runtime/input_quantization.h"
#include "qat/grad/gradients.h"
#include "qat/grad/matmul.h"
#include "qat/grad/rounded_rows.h"

namespace lutra::qat {
namespace {

// y = x * w^T + b: dx = dy * w, dw = dy^T * x, db = the sum over rows of dy,
// with x as it is multiplied.
class LinearStep : public BackwardStep {
 public:
  LinearStep(const Model& model, const Node& node, const Execution& execution,
             const BackwardBinding& binding)
      : binding_(binding),
        executor_(execution.executor),
        weight_(Tensor32(model, node.weight)),
        n_(model.value(node.output).ElementCount()),
        k_(model.value(node.inputs[0]).ElementCount()),
        rounded_(FloatInput(node, execution), binding.capacity.rows, k_,
                 binding.scratch, executor_) {}

  void Run(size_t m, const Call&) override {
    const float* dy = binding_.output_gradient;
    const float* x = rounded_.Round(Floats(binding_.inputs[0]), m);
    if (binding_.weight_gradient != nullptr) {
      MatMul({dy, /*transposed=*/true}, {x}, n_, k_, m,
             /*accumulate=*/true, {binding_.weight_gradient}, executor_);
    }
    if (binding_.bias_gradient != nullptr) {
      AddColumnSums(executor_, dy, m, n_, binding_.bias_gradient);
    }
    const GradientTarget& dx = binding_.input_gradients[0];
    if (dx.values == nullptr) return;
    if (!rounded_) {
      MatMul({dy}, {weight_}, m, k_, n_, dx.accumulate, {dx.values}, executor_);
      return;
    }
    MatMul({dy}, {weight_}, m, k_, n_, /*accumulate=*/false,
           {rounded_.values()}, executor_);
    rounded_.Mask(rounded_.values(), m);
    ForEachElement(executor_, m * k_, dx,
                   [d = rounded_.values()](size_t i) { return d[i]; });
  }

 private:
  BackwardBinding binding_;
  Executor* executor_;
  const float* weight_;
  size_t n_;
  size_t k_;
  RoundedRows rounded_;
};

class Linear : public OperatorGradient {
 public:
  bool NeedsInputs() const override { return true; }
  size_t ScratchBytes(const Model& model, const Node& node,
                      const Execution& execution,
                      const BackwardCapacity& capacity) const override {
    return RoundedRows::Bytes(FloatInput(node, execution), capacity.rows,
                              model.value(node.inputs[0]).ElementCount());
  }
  std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution& execution,
      const BackwardBinding& binding) const override {
    return std::make_unique<LinearStep>(model, node, execution, binding);
  }
};

}  // namespace

const OperatorGradient& LinearGradient() {
  static const Linear gradient;
  return gradient;
}

}  // namespace lutra::qat
