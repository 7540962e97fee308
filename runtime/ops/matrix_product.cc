#include "runtime/ops/matrix_product.h"

namespace lutra {
namespace {

// The session's copy of a float weight; with its bias, as tensors may serve
// nodes with several.
std::shared_ptr<DenseMatrix> SharedDense(const Node& node, const Weight& weight,
                                         const float* bias,
                                         const Execution& execution) {
  auto& all = execution.shared->dense;
  // Names hold no zero byte.
  const std::string key = node.weight + '\0' + node.bias;
  const auto found = all.find(key);
  if (found != all.end()) return found->second;
  return all
      .emplace(key, std::make_shared<DenseMatrix>(weight, bias, execution.pool))
      .first->second;
}

}  // namespace

size_t MatrixProduct::ScratchBytes(const Model& model, const Node& node,
                                   const Execution& execution, size_t m) {
  const kernels::LutMatrix* packed = model.packed(node.weight);
  if (packed == nullptr) return 0;
  return kernels::GemmScratchBytes(*packed, execution.activations, m);
}

MatrixProduct::MatrixProduct(const Model& model, const Node& node,
                             const Execution& execution, size_t m,
                             void* scratch)
    : weight_(GetWeight(model, node.weight)),
      bias_(GetBias(model, node, weight_.n)),
      activations_(execution.activations),
      pool_(execution.pool),
      scratch_(scratch) {
  if (weight_.packed != nullptr) return;
  dense_ = SharedDense(node, weight_, bias_, execution);
  try {
    dense_->Prepare(m);
  } catch (const Error& error) {
    throw NodeError(model, node, error.what());
  }
}

void MatrixProduct::Run(const float* x, size_t m, float* y) const {
  if (weight_.packed == nullptr) return dense_->Run(x, m, y);
  kernels::Gemm(*weight_.packed, activations_,
                {.x = x,
                 .x_stride = weight_.k,
                 .m = m,
                 .bias = bias_,
                 .y = y,
                 .y_stride = weight_.n},
                scratch_, pool_);
}

StepCost MatrixProduct::Cost(size_t m) const {
  return {.bytes = weight_.ByteCount(),
          .multiply_adds = uint64_t{m} * weight_.n * weight_.k};
}

}  // namespace lutra
