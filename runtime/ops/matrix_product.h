#ifndef LUTRA_RUNTIME_OPS_MATRIX_PRODUCT_H_
#define LUTRA_RUNTIME_OPS_MATRIX_PRODUCT_H_

#include <cstddef>
#include <optional>

#include "lutra/runtime/input_quantization.h"
#include "lutra/runtime/operator.h"
#include "runtime/ops/dense.h"
#include "runtime/ops/epilogue.h"
#include "runtime/ops/weight.h"

namespace lutra {

// y [m, n] = x [m, k] * w^T + bias with a node's weight, packed or float, and
// its input as input_quantization.h says: what linear, conv2d and recurrent
// cells have in common.
class MatrixProduct {
 public:
  // Scratch for calls with up to `m` rows.
  static size_t ScratchBytes(const Model& model, const Node& node,
                             const Execution& execution, size_t m);

  // For calls with up to `m` rows, which work in `scratch`. Throws Error.
  MatrixProduct(const Model& model, const Node& node,
                const Execution& execution, size_t m, void* scratch);

  const Weight& weight() const { return weight_; }
  // Allocates nothing. `epilogue` is that of the rows' outputs.
  void Run(const float* x, size_t m, float* y,
           const Epilogue& epilogue = {}) const;
  // The same with rows [first, first + n) of the weight alone, y [m, n]. Of
  // packed weights, both are multiples of kernels::kBlockRows.
  void RunRows(uint32_t first, uint32_t n, const float* x, size_t m,
               float* y) const;
  StepCost Cost(size_t m) const;

 private:
  void Run(const Weight& weight, const float* bias, const float* x, size_t m,
           float* y, const Epilogue& epilogue) const;

  Weight weight_;
  const float* bias_;
  InputQuantization input_;                              // of packed weights
  std::optional<kernels::ActivationRounding> rounding_;  // of float ones
  Executor* executor_;
  void* scratch_;
  float* rounded_;  // behind it
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_OPS_MATRIX_PRODUCT_H_
