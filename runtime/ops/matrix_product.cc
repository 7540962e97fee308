#include "runtime/ops/matrix_product.h"

namespace lutra {

std::vector<AttributeSchema> RangeAttributes() {
  // Their difference is a finite float.
  constexpr double kLargest = 1e38;
  return {{.name = "input_min", .required = false, .low = -kLargest, .high = 0},
          {.name = "input_max", .required = false, .low = 0, .high = kLargest}};
}

InputRange RangeOf(const Node& node) {
  return {static_cast<float>(NumberAttribute(node, "input_min")),
          static_cast<float>(NumberAttribute(node, "input_max"))};
}

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
      range_(RangeOf(node)),
      activations_(execution.activations),
      executor_(execution.executor),
      scratch_(scratch) {}

void MatrixProduct::Run(const float* x, size_t m, float* y) const {
  Run(weight_, bias_, x, m, y);
}

void MatrixProduct::RunRows(uint32_t first, uint32_t n, const float* x,
                            size_t m, float* y) const {
  Weight part = weight_;
  part.n = n;
  const float* const bias = bias_ == nullptr ? nullptr : bias_ + first;
  if (weight_.packed != nullptr) {
    const kernels::LutMatrix rows = kernels::RowsOf(*weight_.packed, first, n);
    part.packed = &rows;
    return Run(part, bias, x, m, y);
  }
  part.values = static_cast<const std::byte*>(weight_.values) +
                size_t{first} * weight_.k * kernels::ByteSize(weight_.type);
  Run(part, bias, x, m, y);
}

void MatrixProduct::Run(const Weight& weight, const float* bias, const float* x,
                        size_t m, float* y) const {
  if (weight.packed == nullptr) {
    return MultiplyDense(weight, bias, x, m, y, scratch_, executor_);
  }
  kernels::Gemm(*weight.packed, activations_,
                {.x = x,
                 .x_stride = weight.k,
                 .m = m,
                 .bias = bias,
                 .y = y,
                 .y_stride = weight.n,
                 .range_min = range_.min,
                 .range_max = range_.max},
                scratch_, executor_);
}

StepCost MatrixProduct::Cost(size_t m) const {
  return {.bytes = weight_.ByteCount(),
          .multiply_adds = uint64_t{m} * weight_.n * weight_.k};
}

}  // namespace lutra
