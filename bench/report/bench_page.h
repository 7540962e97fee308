#ifndef LUTRA_BENCH_REPORT_BENCH_PAGE_H_
#define LUTRA_BENCH_REPORT_BENCH_PAGE_H_

#include <map>
#include <string>

#include "bench/report/bench_results.h"

namespace lutra::tools {

// Why a row of the reach table is missed, by its id; from a text file with
// lines "id: reason". Throws Error.
using Reasons = std::map<std::string, std::string>;
Reasons ReadReasons(const std::string& path);

// A Markdown page about a run of kernels_bench: what it ran on, limits, the
// reach table, the picture, all results.
std::string BenchPage(const BenchRun& run, const std::string& picture,
                      const Reasons& reasons);

}  // namespace lutra::tools

#endif  // LUTRA_BENCH_REPORT_BENCH_PAGE_H_
