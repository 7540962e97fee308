#include "lutra/eval/timing.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

namespace lutra::eval {
namespace {

using Clock = std::chrono::steady_clock;

// Enough for a median and a deviation that mean something.
constexpr size_t kMinCalls = 10;
// Bounds memory; a 99th percentile needs no more.
constexpr size_t kMaxCalls = 200000;
// Share of the time that goes into warming up.
constexpr double kWarmUpShare = 0.2;
constexpr size_t kMinWarmUpCalls = 2;

double MicrosecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start)
      .count();
}

}  // namespace

Timing TimeCalls(const std::function<void()>& call,
                 const TimingOptions& options) {
  const double budget = options.seconds * 1e6;
  const Clock::time_point warm_up = Clock::now();
  const size_t most = options.repeat > 0 ? options.repeat : kMaxCalls;
  for (size_t i = 0; i < most; ++i) {
    if (i >= kMinWarmUpCalls &&
        MicrosecondsSince(warm_up) > kWarmUpShare * budget) {
      break;
    }
    call();
  }
  std::vector<double> microseconds;
  const Clock::time_point start = Clock::now();
  while (microseconds.size() < most) {
    if (options.repeat == 0 && microseconds.size() >= kMinCalls &&
        MicrosecondsSince(start) > budget) {
      break;
    }
    const Clock::time_point before = Clock::now();
    call();
    microseconds.push_back(MicrosecondsSince(before));
  }
  return Summarise(std::move(microseconds));
}

double Median(std::vector<double> values) {
  const size_t middle = values.size() / 2;
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(middle);
  std::nth_element(values.begin(), at, values.end());
  if (values.size() % 2 == 1) return *at;
  return (*std::max_element(values.begin(), at) + *at) / 2;
}

Timing Summarise(std::vector<double> microseconds) {
  Timing timing;
  timing.calls = microseconds.size();
  std::sort(microseconds.begin(), microseconds.end());
  timing.minimum = microseconds.front();
  // The smallest value that 99 % of the calls do not exceed.
  const size_t rank = (timing.calls * 99 + 99) / 100;
  timing.p99 = microseconds[rank - 1];
  timing.mean = std::accumulate(microseconds.begin(), microseconds.end(), 0.0) /
                static_cast<double>(timing.calls);
  timing.median = Median(microseconds);
  for (double& value : microseconds) value = std::abs(value - timing.median);
  timing.deviation = Median(microseconds);
  return timing;
}

MeanAndDeviation Average(const std::vector<double>& values) {
  MeanAndDeviation result;
  const auto count = static_cast<double>(values.size());
  for (const double value : values) result.mean += value / count;
  if (values.size() < 2) return result;
  double squares = 0;
  for (const double value : values) {
    squares += (value - result.mean) * (value - result.mean);
  }
  result.deviation = std::sqrt(squares / (count - 1));
  return result;
}

}  // namespace lutra::eval
