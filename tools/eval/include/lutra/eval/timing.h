#ifndef LUTRA_EVAL_TIMING_H_
#define LUTRA_EVAL_TIMING_H_

#include <cstddef>
#include <functional>
#include <vector>

// Timing of repeated calls, and statistics. Times are of the wall clock.

namespace lutra::eval {

// All in microseconds per call.
struct Timing {
  size_t calls = 0;
  double median = 0;
  double deviation = 0;  // median distance from the median
  double mean = 0;
  double minimum = 0;
  double p99 = 0;  // the smallest time that 99 % of the calls do not exceed
};

struct TimingOptions {
  // Timed calls; 0: as many as fit `seconds`, from 10 to 200000.
  size_t repeat = 0;
  // Before them, about a fifth of it is spent on warming up, at most.
  double seconds = 0.5;
};

// Calls `call` a few times to warm caches and clocks, then times each call, all
// on this thread. What `call` throws ends the measurement.
Timing TimeCalls(const std::function<void()>& call,
                 const TimingOptions& options);

// Statistics of durations in microseconds (at least one).
Timing Summarise(std::vector<double> microseconds);

// Of at least one value; of an even number the mean of the middle two.
double Median(std::vector<double> values);

struct MeanAndDeviation {
  double mean = 0;
  double deviation = 0;  // of a sample: n - 1; 0 for one value
};
// Of at least one value.
MeanAndDeviation Average(const std::vector<double>& values);

}  // namespace lutra::eval

#endif  // LUTRA_EVAL_TIMING_H_
