#ifndef LUTRA_RUNTIME_OPS_EPILOGUE_H_
#define LUTRA_RUNTIME_OPS_EPILOGUE_H_

#include <cstddef>

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

}  // namespace lutra

#endif  // LUTRA_RUNTIME_OPS_EPILOGUE_H_
