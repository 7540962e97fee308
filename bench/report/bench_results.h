#ifndef LUTRA_BENCH_REPORT_BENCH_RESULTS_H_
#define LUTRA_BENCH_REPORT_BENCH_RESULTS_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tools/cli/table.h"

// What Google Benchmark wrote with --benchmark_out=FILE.

namespace lutra::tools {

// One benchmark, over all its repetitions.
struct BenchResult {
  // As registered, without what Google Benchmark appends.
  std::string name;
  // One for each repetition, in calls per second, or for a benchmark that
  // measures a rate (counter G/s) that rate.
  std::vector<double> speeds;
  // Medians over the repetitions.
  std::map<std::string, double, std::less<>> counters;

  // The part of the name between slashes at `index`; "" if there are fewer.
  std::string Part(size_t index) const;
  // "64" for "group" in ".../group:64/..."; "" if the name has none.
  std::string Field(std::string_view key) const;
  // 0 if there is none.
  double Counter(std::string_view key) const;
};

struct BenchRun {
  // Of the machine and the program: "date", "cpu", ... Numbers as text.
  std::map<std::string, std::string, std::less<>> context;
  std::vector<BenchResult> results;  // in the order of the file

  const BenchResult* Find(std::string_view name) const;
};

// Throws Error.
BenchRun ReadBenchRun(const std::string& path);

// The speed of `b` as a multiple of that of `a` for the benchmarks that both
// have. A difference is outside the noise if the repetitions of one are all
// faster than those of the other; that takes three of each.
Table CompareBenchRuns(const BenchRun& a, const BenchRun& b);

}  // namespace lutra::tools

#endif  // LUTRA_BENCH_REPORT_BENCH_RESULTS_H_
