#include "tools/verbs/timing_json.h"

namespace lutra::tools {

Json TimingToJson(const eval::Timing& timing) {
  return {{"calls", timing.calls},
          {"median_us", timing.median},
          {"deviation_us", timing.deviation},
          {"mean_us", timing.mean},
          {"min_us", timing.minimum},
          {"p99_us", timing.p99}};
}

}  // namespace lutra::tools
