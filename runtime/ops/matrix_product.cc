#include "runtime/ops/matrix_product.h"

#include "kernels/base/checked_math.h"
#include "kernels/base/parallel.h"
#include "runtime/base/aligned_memory.h"
#include "runtime/base/out_of_memory.h"
#include "runtime/base/work_size.h"

namespace lutra {

size_t MatrixProduct::ScratchBytes(const Model& model, const Node& node,
                                   const Execution& execution, size_t m) {
  const kernels::LutMatrix* packed = model.packed(node.weight);
  if (packed != nullptr) {
    return kernels::GemmScratchBytes(
        *packed, *PackedInput(model, node, execution.activations).type, m);
  }
  const Weight weight = GetWeight(model, node.weight);
  const size_t dense = DenseScratchBytes(weight, m);
  if (!FloatInput(node, execution)) return dense;
  const auto values = CheckedMultiply(m, size_t{weight.k} * sizeof(float));
  const auto bytes =
      values ? CheckedAdd(dense, *values + 2 * kMemoryAlignment) : std::nullopt;
  if (!bytes) throw OutOfMemory("a product overflows memory");
  return *bytes;
}

MatrixProduct::MatrixProduct(const Model& model, const Node& node,
                             const Execution& execution, size_t m,
                             void* scratch)
    : weight_(GetWeight(model, node.weight)),
      bias_(GetBias(model, node, weight_.n)),
      executor_(execution.executor),
      scratch_(scratch),
      rounded_(nullptr) {
  if (weight_.packed != nullptr) {
    input_ = PackedInput(model, node, execution.activations);
    return;
  }
  rounding_ = FloatInput(node, execution);
  if (!rounding_) return;
  rounded_ = reinterpret_cast<float*>(
      static_cast<std::byte*>(scratch) +
      RoundUpToAlignment(DenseScratchBytes(weight_, m)));
}

void MatrixProduct::Run(const float* x, size_t m, float* y,
                        const Epilogue& epilogue) const {
  Run(weight_, bias_, x, m, y, epilogue);
}

void MatrixProduct::RunRows(uint32_t first, uint32_t n, const float* x,
                            size_t m, float* y) const {
  Weight part = weight_;
  part.n = n;
  const float* const bias = bias_ == nullptr ? nullptr : bias_ + first;
  if (weight_.packed != nullptr) {
    const kernels::LutMatrix rows = kernels::RowsOf(*weight_.packed, first, n);
    part.packed = &rows;
    return Run(part, bias, x, m, y, {});
  }
  part.values = static_cast<const std::byte*>(weight_.values) +
                size_t{first} * weight_.k * kernels::ByteSize(weight_.type);
  Run(part, bias, x, m, y, {});
}

void MatrixProduct::Run(const Weight& weight, const float* bias, const float* x,
                        size_t m, float* y, const Epilogue& epilogue) const {
  if (weight.packed == nullptr) {
    if (rounding_) {
      kernels::RoundActivations(*rounding_, x, m, weight.k, rounded_,
                                /*inside=*/nullptr, executor_);
      x = rounded_;
    }
    MultiplyDense(weight, bias, x, m, y, scratch_, executor_);
    ParallelFor(executor_, m * weight.n, kElementsPerTask,
                [&](size_t begin, size_t end) {
                  epilogue.From(begin).Apply(y + begin, end - begin);
                });
    return;
  }
  kernels::Gemm(*weight.packed, *input_.type,
                {.x = x,
                 .x_stride = weight.k,
                 .m = m,
                 .bias = bias,
                 .y = y,
                 .y_stride = weight.n,
                 .fusion = epilogue.fusion,
                 .residual = epilogue.residual,
                 .residual_stride = weight.n,
                 .range_min = input_.range_min,
                 .range_max = input_.range_max,
                 .activation_bits = input_.bits},
                scratch_, executor_);
}

StepCost MatrixProduct::Cost(size_t m) const {
  return {.bytes = weight_.ByteCount(),
          .multiply_adds = uint64_t{m} * weight_.n * weight_.k};
}

}  // namespace lutra
