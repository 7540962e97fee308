#ifndef LUTRA_BENCH_REPORT_BENCH_REACH_H_
#define LUTRA_BENCH_REPORT_BENCH_REACH_H_

#include <string>
#include <vector>

#include "bench/report/bench_results.h"

// How a run of kernels_bench compares with what the kernels are to reach.

namespace lutra::tools {

struct ReachRow {
  std::string id;    // for reasons, see BenchPage
  std::string what;  // is measured
  std::string unit;
  bool at_least = true;  // else at most
  double bound = 0;
  struct Case {
    std::string name;  // of the benchmark
    double value = 0;
  };
  std::vector<Case> cases;

  bool Meets(const Case& c) const {
    return at_least ? c.value >= bound : c.value <= bound;
  }
};

// All rows, also those that the run has no cases for.
std::vector<ReachRow> MeasureReach(const BenchRun& run);

}  // namespace lutra::tools

#endif  // LUTRA_BENCH_REPORT_BENCH_REACH_H_
