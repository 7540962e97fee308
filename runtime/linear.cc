#include <string>

#include "lutra/kernels/gemm.h"
#include "runtime/dense.h"
#include "runtime/operators.h"
#include "runtime/weight.h"

namespace lutra {
namespace {

class LutLinearStep : public Step {
 public:
  LutLinearStep(const kernels::LutMatrix& w, const float* bias,
                const Execution& execution, const Binding& binding)
      : w_(w),
        execution_(execution),
        arguments_{.x = static_cast<const float*>(binding.inputs[0]),
                   .x_stride = w.format.k,
                   .m = binding.m,
                   .bias = bias,
                   .y = binding.output,
                   .y_stride = w.format.n},
        scratch_(binding.scratch) {}

  void Run() override {
    kernels::Gemm(w_, execution_.activations, arguments_, scratch_,
                  execution_.pool);
  }

 private:
  const kernels::LutMatrix& w_;
  Execution execution_;
  kernels::GemmArguments arguments_;
  void* scratch_;
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
    const kernels::LutMatrix* packed = model.packed(node.weight);
    if (packed == nullptr) return 0;
    return kernels::GemmScratchBytes(*packed, execution.activations, m,
                                     execution.Threads());
  }

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution& execution,
                             const Binding& binding) const override {
    const Weight w = GetWeight(model, node.weight);
    const float* bias = GetBias(model, node, w.n);
    if (w.packed != nullptr) {
      return std::make_unique<LutLinearStep>(*w.packed, bias, execution,
                                             binding);
    }
    const DenseLinear linear = {
        .m = binding.m,
        .n = w.n,
        .k = w.k,
        .w = w.floats,
        .bias = bias,
        .x = static_cast<const float*>(binding.inputs[0]),
        .y = binding.output};
    try {
      return BindDenseLinear(linear, execution.pool);
    } catch (const Error& error) {
      throw NodeError(model, node, error.what());
    }
  }
};

}  // namespace

const Operator& LinearOperator() {
  static const Linear op;
  return op;
}

}  // namespace lutra
