#include <algorithm>
#include <string>
#include <utility>

#include "runtime/base/text_of.h"
#include "runtime/ops/matrix_product.h"
#include "runtime/ops/operators.h"

namespace lutra {
namespace {

// Rows of a product after which the call may be cancelled: enough for a product
// to run at its speed.
constexpr size_t kBlockRows = 256;

class LinearStep : public Step {
 public:
  LinearStep(const MatrixProduct& product, const Execution& execution,
             const Binding& binding)
      : product_(product),
        execution_(execution),
        x_(static_cast<const float*>(binding.inputs[0])),
        y_(binding.output) {}

  void Run(size_t m, const Call&) override {
    const Weight& w = product_.weight();
    for (size_t row = 0; row < m; row += kBlockRows) {
      execution_.CheckCancelled();
      product_.Run(x_ + row * w.k, std::min(kBlockRows, m - row),
                   y_ + row * w.n);
    }
  }
  StepCost Cost(size_t m, const Call&) const override {
    return product_.Cost(m);
  }

 private:
  MatrixProduct product_;
  Execution execution_;
  const float* x_;
  float* y_;
};

// Nodes with packed weights and the same input.
class PackedStep : public Step {
 public:
  // `cost` is that of one row.
  PackedStep(kernels::PreparedGemm gemm, Executor* executor, StepCost cost)
      : gemm_(std::move(gemm)), executor_(executor), cost_(cost) {}

  void Run(size_t m, const Call&) override { gemm_.Run(m, executor_); }
  StepCost Cost(size_t m, const Call&) const override {
    return {.bytes = cost_.bytes, .multiply_adds = m * cost_.multiply_adds};
  }

 private:
  kernels::PreparedGemm gemm_;
  Executor* executor_;
  StepCost cost_;
};

class Linear : public Operator {
 public:
  Linear()
      : Operator({.name = "linear",
                  .weight = TensorUse::kRequired,
                  .bias = TensorUse::kOptional,
                  .packable = true,
                  .attributes = InputAttributes()}) {}

  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      Span<const ValueInfo* const> inputs) const override {
    const ValueInfo& x = *inputs[0];
    const Weight w = GetWeight(model, node.weight);
    if (x.type != ValueType::kFloat32 || x.shape.size() != 1 ||
        x.shape[0] != int64_t{w.k}) {
      throw NodeError(
          model, node,
          TextOf("input '", x.name, "' of shape ", ShapeToString(x.shape),
                 (x.type == ValueType::kFloat32 ? "" : " (int32)"),
                 " does not fit the weight '", node.weight, "' of shape [", w.n,
                 ", ", w.k, "]"));
    }
    CheckInputQuantization(model, node);
    GetBias(model, node, w.n);
    return {int64_t{w.n}};
  }

  size_t ScratchBytes(const Model& model, const Node& node,
                      const Execution& execution, size_t m) const override {
    return MatrixProduct::ScratchBytes(model, node, execution,
                                       std::min(m, kBlockRows));
  }

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution& execution,
                             const Binding& binding) const override {
    return std::make_unique<LinearStep>(
        MatrixProduct(model, node, execution, std::min(binding.m, kBlockRows),
                      binding.scratch),
        execution, binding);
  }

  // Activations are then quantized once, and threads woken once.
  bool Fuses(const Model& model, const Node& node) const override {
    return model.packed(node.weight) != nullptr;
  }
  // Each matrix has its own groups.
  bool FusesWith(const Model& model, const Node& node,
                 const Node& other) const override {
    return TakeSameInput(model, node, other);
  }

  size_t FusedScratchBytes(const Model& model, Span<const FusedNode> nodes,
                           const Execution& execution,
                           size_t m) const override {
    std::vector<kernels::GemmProduct> products;
    for (const FusedNode& fused : nodes) {
      products.push_back({model.packed(fused.node->weight), {}});
    }
    return kernels::PreparedGemm::ScratchBytes(
        products,
        *PackedInput(model, *nodes[0].node, execution.activations).type, m);
  }

  std::unique_ptr<Step> BindFused(const Model& model,
                                  Span<const FusedNode> nodes,
                                  const Execution& execution,
                                  const Binding& binding) const override {
    const InputQuantization input =
        PackedInput(model, *nodes[0].node, execution.activations);
    std::vector<kernels::GemmProduct> products;
    StepCost cost;
    for (const FusedNode& fused : nodes) {
      const Weight w = GetWeight(model, fused.node->weight);
      PackedInput(model, *fused.node, execution.activations);  // throws
      products.push_back({w.packed,
                          {.x = static_cast<const float*>(binding.inputs[0]),
                           .x_stride = w.k,
                           .bias = GetBias(model, *fused.node, w.n),
                           .y = fused.output,
                           .y_stride = w.n,
                           .fusion = fused.fusion,
                           .residual = fused.residual,
                           .residual_stride = w.n,
                           .range_min = input.range_min,
                           .range_max = input.range_max,
                           .activation_bits = input.bits}});
      cost.bytes += w.ByteCount();
      cost.multiply_adds += uint64_t{w.n} * w.k;
    }
    return std::make_unique<PackedStep>(
        kernels::PreparedGemm(products, *input.type, binding.scratch),
        execution.executor, cost);
  }
};

}  // namespace

const Operator& LinearOperator() {
  static const Linear op;
  return op;
}

}  // namespace lutra
