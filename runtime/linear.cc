#include <string>

#include "runtime/matrix_product.h"
#include "runtime/operators.h"

namespace lutra {
namespace {

class LinearStep : public Step {
 public:
  LinearStep(MatrixProduct product, const Binding& binding)
      : product_(std::move(product)),
        x_(static_cast<const float*>(binding.inputs[0])),
        m_(binding.m),
        y_(binding.output) {}

  void Run() override { product_.Run(x_, m_, y_); }
  StepCost Cost() const override { return product_.Cost(m_); }

 private:
  MatrixProduct product_;
  const float* x_;
  size_t m_;
  float* y_;
};

class Linear : public Operator {
 public:
  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      std::span<const ValueInfo* const> inputs) const override {
    const ValueInfo& x = *inputs[0];
    const Weight w = GetWeight(model, node.weight);
    if (x.type != ValueType::kFloat32 || x.shape.size() != 1 ||
        x.shape[0] != int64_t{w.k}) {
      throw NodeError(
          model, node,
          "input '" + x.name + "' of shape " + ShapeToString(x.shape) +
              (x.type == ValueType::kFloat32 ? "" : " (int32)") +
              " does not fit the weight '" + node.weight + "' of shape [" +
              std::to_string(w.n) + ", " + std::to_string(w.k) + "]");
    }
    GetBias(model, node, w.n);
    return {int64_t{w.n}};
  }

  size_t ScratchBytes(const Model& model, const Node& node,
                      const Execution& execution, size_t m) const override {
    return MatrixProduct::ScratchBytes(model, node, execution, m);
  }

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution& execution,
                             const Binding& binding) const override {
    return std::make_unique<LinearStep>(
        MatrixProduct(model, node, execution, binding.m, binding.scratch),
        binding);
  }
};

}  // namespace

const Operator& LinearOperator() {
  static const Linear op;
  return op;
}

}  // namespace lutra
