#ifndef LUTRA_RUNTIME_EXEC_SCHEDULE_H_
#define LUTRA_RUNTIME_EXEC_SCHEDULE_H_

#include <cstddef>
#include <string>
#include <vector>

#include "lutra/kernels/gemm.h"
#include "lutra/runtime/model.h"

namespace lutra {

// A node, by its place in the graph, and what its step computes along with it.
struct ScheduledNode {
  size_t node = 0;
  // The node whose output the step writes: `node`, or after one that fuses the
  // function that alone uses its output, or the sum that alone uses that.
  size_t result = 0;
  kernels::Fusion fusion = kernels::Fusion::kNone;
  // What such a sum adds, a value of an earlier step; else nullptr.
  const std::string* residual = nullptr;
};

// The nodes that one step computes: one, or nodes with the same input that fuse
// (see Operator::Fuses).
using ScheduledStep = std::vector<ScheduledNode>;

// All nodes, in an order that can be executed. Of nodes that fuse those are put
// together that are alike in `in_tail` (see plan.h). Refers to the graph of
// `model`.
std::vector<ScheduledStep> ScheduleNodes(const Model& model,
                                         const std::vector<bool>& in_tail);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_EXEC_SCHEDULE_H_
