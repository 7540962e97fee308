#ifndef LUTRA_RUNTIME_EXEC_SCHEDULE_H_
#define LUTRA_RUNTIME_EXEC_SCHEDULE_H_

#include <cstddef>
#include <span>
#include <vector>

#include "lutra/runtime/model.h"
#include "runtime/ops/scheduled_step.h"

namespace lutra {

// All nodes, in an order that can be executed. `rows` is how many tokens each
// node computes. Refers to the graph of `model`.
std::vector<ScheduledStep> ScheduleNodes(const Model& model,
                                         std::span<const size_t> rows);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_EXEC_SCHEDULE_H_
