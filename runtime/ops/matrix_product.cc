#include "runtime/ops/matrix_product.h"

namespace lutra {
size_t MatrixProduct::ScratchBytes(const Model& model, const Node& node,
                                   const Execution& execution, size_t m) {
  const kernels::LutMatrix* packed = model.packed(node.weight);
  if (packed == nullptr) {
    return DenseScratchBytes(GetWeight(model, node.weight), m);
  }
  return kernels::GemmScratchBytes(*packed, execution.activations, m);
}

MatrixProduct::MatrixProduct(const Model& model, const Node& node,
                             const Execution& execution, void* scratch)
    : weight_(GetWeight(model, node.weight)),
      bias_(GetBias(model, node, weight_.n)),
      activations_(execution.activations),
      executor_(execution.executor),
      scratch_(scratch) {}

void MatrixProduct::Run(const float* x, size_t m, float* y) const {
  if (weight_.packed == nullptr) {
    return MultiplyDense(weight_, bias_, x, m, y, scratch_, executor_);
  }
  kernels::Gemm(*weight_.packed, activations_,
                {.x = x,
                 .x_stride = weight_.k,
                 .m = m,
                 .bias = bias_,
                 .y = y,
                 .y_stride = weight_.n},
                scratch_, executor_);
}

StepCost MatrixProduct::Cost(size_t m) const {
  return {.bytes = weight_.ByteCount(),
          .multiply_adds = uint64_t{m} * weight_.n * weight_.k};
}

}  // namespace lutra
