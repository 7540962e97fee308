#ifndef LUTRA_BENCH_REPORT_ROOFLINE_H_
#define LUTRA_BENCH_REPORT_ROOFLINE_H_

#include <string>

#include "bench/report/bench_results.h"

namespace lutra::tools {

// An SVG picture of a run of kernels_bench: operations per second against
// operations per byte of packed weights, both logarithmic, below the limits of
// memory and of the multiplications; one panel for each number of threads.
// Shown are GEMV and GEMM of int8 activations at 4096x4096, group 64.
std::string RooflineSvg(const BenchRun& run);

}  // namespace lutra::tools

#endif  // LUTRA_BENCH_REPORT_ROOFLINE_H_
