#ifndef LUTRA_TOOLS_VERBS_TIMING_JSON_H_
#define LUTRA_TOOLS_VERBS_TIMING_JSON_H_

#include "lutra/eval/timing.h"
#include "tools/cli/json.h"

namespace lutra::tools {

// As the verbs bench and eval print it: calls, and microseconds per call.
Json TimingToJson(const eval::Timing& timing);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_VERBS_TIMING_JSON_H_
