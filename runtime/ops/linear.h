#ifndef LUTRA_RUNTIME_OPS_LINEAR_H_
#define LUTRA_RUNTIME_OPS_LINEAR_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <span>

#include "lutra/kernels/gemm.h"
#include "runtime/ops/operator.h"
#include "runtime/ops/scheduled_step.h"

// Packed linear nodes that share a step, see scheduled_step.h.

namespace lutra {

bool IsPackedLinear(const Model& model, const Node& node);

// What a linear node does to compute this activation function as well, with the
// same bits as its operator. Nothing for other operators.
std::optional<kernels::Fusion> FusionOf(OpType op);

size_t LinearsScratchBytes(const Model& model, const ScheduledStep& step,
                           const Execution& execution, size_t m);

struct LinearOutput {
  float* y = nullptr;               // of the scheduled node's `result`
  const float* residual = nullptr;  // or nullptr
};

// Of `binding`, the output is not looked at. Throws Error.
std::unique_ptr<Step> BindLinears(const Model& model, const ScheduledStep& step,
                                  const Execution& execution,
                                  const Binding& binding,
                                  std::span<const LinearOutput> outputs);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_OPS_LINEAR_H_
