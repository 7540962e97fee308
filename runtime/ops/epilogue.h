#ifndef LUTRA_RUNTIME_OPS_EPILOGUE_H_
#define LUTRA_RUNTIME_OPS_EPILOGUE_H_

#include <cstddef>
#include <memory>

#include "lutra/kernels/gemm.h"
#include "lutra/runtime/operator.h"

namespace lutra {

// What a node does to its outputs in place of the nodes that alone use them
// (FusedNode), with the same bits: y = fusion(y) (+ residual).
struct Epilogue {
  Epilogue() = default;
  explicit Epilogue(const FusedNode& node)
      : fusion(node.fusion), residual(node.residual) {}

  // Of the outputs from `first` on.
  Epilogue From(size_t first) const {
    Epilogue rest = *this;
    if (residual != nullptr) rest.residual += first;
    return rest;
  }
  // To `count` outputs from the first on. Operators' functions are those that
  // have one in vector_ops.h.
  void Apply(float* y, size_t count) const;

  kernels::Fusion fusion = kernels::Fusion::kNone;
  const float* residual = nullptr;  // as many as there are outputs, or nullptr
};

// An operator whose nodes take along the function and the sum that follow, and
// share no step with others.
class EpilogueOperator : public Operator {
 public:
  using Operator::Operator;

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution& execution,
                             const Binding& binding) const final {
    return BindWith(model, node, execution, binding, binding.output, {});
  }
  bool Fuses(const Model&, const Node&) const final { return true; }
  bool FusesWith(const Model&, const Node&, const Node&) const final {
    return false;
  }
  size_t FusedScratchBytes(const Model& model, Span<const FusedNode> nodes,
                           const Execution& execution, size_t m) const final {
    return ScratchBytes(model, *nodes[0].node, execution, m);
  }
  std::unique_ptr<Step> BindFused(const Model& model,
                                  Span<const FusedNode> nodes,
                                  const Execution& execution,
                                  const Binding& binding) const final {
    return BindWith(model, *nodes[0].node, execution, binding, nodes[0].output,
                    Epilogue(nodes[0]));
  }

 private:
  // To `output`, whatever the binding says.
  virtual std::unique_ptr<Step> BindWith(const Model& model, const Node& node,
                                         const Execution& execution,
                                         const Binding& binding, float* output,
                                         const Epilogue& epilogue) const = 0;
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_OPS_EPILOGUE_H_
