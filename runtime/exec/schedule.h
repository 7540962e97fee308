#ifndef LUTRA_RUNTIME_EXEC_SCHEDULE_H_
#define LUTRA_RUNTIME_EXEC_SCHEDULE_H_

#include <cstddef>
#include <vector>

#include "lutra/runtime/model.h"
#include "runtime/ops/scheduled_step.h"

namespace lutra {

// All nodes, in an order that can be executed. Of linear nodes those are put
// together that are alike in `in_tail` (see plan.h). Refers to the graph of
// `model`.
std::vector<ScheduledStep> ScheduleNodes(const Model& model,
                                         const std::vector<bool>& in_tail);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_EXEC_SCHEDULE_H_
