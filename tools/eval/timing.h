#ifndef LUTRA_TOOLS_EVAL_TIMING_H_
#define LUTRA_TOOLS_EVAL_TIMING_H_

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

// Timing of repeated calls, for the verbs bench and eval.

namespace lutra::tools {

// All in microseconds per call.
struct Timing {
  size_t calls = 0;
  double median = 0;
  double deviation = 0;  // median distance from the median
  double mean = 0;
  double minimum = 0;
  double p99 = 0;
};

struct TimingOptions {
  size_t repeat = 0;     // timed calls; 0: as many as fit `seconds`
  double seconds = 0.5;  // also roughly what is spent on warming up, at most
};

// Calls `call` a few times to warm caches and clocks, then times each call.
Timing TimeCalls(const std::function<void()>& call,
                 const TimingOptions& options);

// Statistics of durations in microseconds (at least one).
Timing Summarise(std::vector<double> microseconds);

double Median(std::vector<double> values);  // of at least one

struct MeanAndDeviation {
  double mean = 0;
  double deviation = 0;  // of a sample: n - 1; 0 for one value
};
MeanAndDeviation Average(std::span<const double> values);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_EVAL_TIMING_H_
