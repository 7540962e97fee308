#include "qat/grad/gradients.h"
#include "qat/grad/matmul.h"

namespace lutra::qat {
namespace {

// da = dy * b^T and db = a^T * dy, matrix by matrix.
class MatmulStep : public BackwardStep {
 public:
  MatmulStep(const Model& model, const Node& node, const Execution& execution,
             const BackwardBinding& binding)
      : binding_(binding), executor_(execution.executor) {
    const ValueInfo& a = model.value(node.inputs[0]);
    rows_ = static_cast<size_t>(a.shape[a.shape.size() - 2]);
    depth_ = static_cast<size_t>(a.shape.back());
    columns_ = static_cast<size_t>(model.value(node.output).shape.back());
    matrices_ = a.ElementCount() / (rows_ * depth_);
  }

  void Run(size_t m, const Call&) override {
    const GradientTarget& da = binding_.input_gradients[0];
    const GradientTarget& db = binding_.input_gradients[1];
    for (size_t i = 0; i < m * matrices_; ++i) {
      const float* a = Floats(binding_.inputs[0]) + i * rows_ * depth_;
      const float* b = Floats(binding_.inputs[1]) + i * depth_ * columns_;
      const float* dy = binding_.output_gradient + i * rows_ * columns_;
      if (da.values != nullptr) {
        MatMul({dy}, {b, /*transposed=*/true}, rows_, depth_, columns_,
               da.accumulate, {da.values + i * rows_ * depth_}, executor_);
      }
      if (db.values != nullptr) {
        MatMul({a, /*transposed=*/true}, {dy}, depth_, columns_, rows_,
               db.accumulate, {db.values + i * depth_ * columns_}, executor_);
      }
    }
  }

 private:
  BackwardBinding binding_;
  Executor* executor_;
  size_t matrices_ = 0;  // in a row of the call
  size_t rows_ = 0;
  size_t depth_ = 0;
  size_t columns_ = 0;
};

class Matmul : public OperatorGradient {
 public:
  bool NeedsInputs() const override { return true; }
  std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution& execution,
      const BackwardBinding& binding) const override {
    return std::make_unique<MatmulStep>(model, node, execution, binding);
  }
};

}  // namespace

const OperatorGradient& MatmulGradient() {
  static const Matmul gradient;
  return gradient;
}

}  // namespace lutra::qat
