#ifndef LUTRA_RUNTIME_OPS_SCHEDULED_STEP_H_
#define LUTRA_RUNTIME_OPS_SCHEDULED_STEP_H_

#include <cstddef>
#include <string>
#include <vector>

#include "lutra/kernels/gemm.h"

namespace lutra {

// A node, by its place in the graph, and what its step computes along with it.
struct ScheduledNode {
  size_t node = 0;
  // The node whose output the step writes: `node`, or after a packed linear
  // node the activation function that alone uses its output, or the add that
  // alone uses that.
  size_t result = 0;
  kernels::Fusion fusion = kernels::Fusion::kNone;
  // What such an add adds, a value of an earlier step; else nullptr.
  const std::string* residual = nullptr;
};

// The nodes that one step computes: one, or packed linear nodes with the same
// input, whose activations are then quantized once, and threads woken once.
using ScheduledStep = std::vector<ScheduledNode>;

}  // namespace lutra

#endif  // LUTRA_RUNTIME_OPS_SCHEDULED_STEP_H_
