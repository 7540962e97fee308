#include "bench/kernels/measure.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <memory>
#include <vector>

#include "lutra/kernels/thread_team.h"

namespace lutra::bench {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double Median(std::vector<double>& values) {
  if (values.empty()) return 0;
  const auto middle =
      values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// A reading of the clock takes some 20 ns: shorter calls are timed in batches
// of about this.
constexpr double kBatchSeconds = 10e-6;
// Time of calls between two measurements of the limit.
constexpr double kLimitEvery = 2e-3;

}  // namespace

Executor* TeamOf(size_t threads) {
  static std::map<size_t, std::unique_ptr<Executor>> teams;
  std::unique_ptr<Executor>& team = teams[threads];
  if (team == nullptr) team = StartThreadTeam(threads);
  return team.get();
}

Measured Measure(benchmark::State& state,
                 const std::function<void(size_t)>& call,
                 const std::function<double()>& limit) {
  call(0);
  const Clock::time_point first = Clock::now();
  call(1);
  const double batch =
      std::clamp(std::ceil(kBatchSeconds / std::max(1e-9, SecondsSince(first))),
                 1.0, 1000.0);
  std::vector<double> seconds;
  std::vector<double> limits;
  if (limit) limits.push_back(limit());
  double since_limit = 0;
  size_t i = 2;
  for (auto _ : state) {
    const Clock::time_point start = Clock::now();
    for (double n = 0; n < batch; ++n) call(i++);
    const double elapsed = SecondsSince(start);
    seconds.push_back(elapsed / batch);
    state.SetIterationTime(seconds.back());
    since_limit += elapsed;
    if (limit && since_limit > kLimitEvery) {
      limits.push_back(limit());
      since_limit = 0;
    }
  }
  return {Median(seconds), Median(limits)};
}

void SetShare(benchmark::State& state, double rate, const Measured& measured,
              const std::function<double()>& limit) {
  constexpr double kNoise = 1.05;
  double best = measured.limit;
  for (int i = 0; i < 50 && rate > kNoise * best; ++i) {
    best = std::max(best, limit());
  }
  if (rate <= kNoise * best) {
    state.counters["limit"] = 100 * rate / best;
  } else {
    // No SkipWithError: if it is the first repetition's, Google Benchmark 1.7
    // reads statistics by a pointer that is none.
    state.SetLabel("faster than the limit, which is none");
  }
}

}  // namespace lutra::bench
