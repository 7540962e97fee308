#ifndef LUTRA_BENCH_KERNELS_MEASURE_H_
#define LUTRA_BENCH_KERNELS_MEASURE_H_

#include <benchmark/benchmark.h>

#include <cstddef>
#include <functional>

#include "lutra/kernels/executor.h"

namespace lutra::bench {

// A team of `threads`, started once; nullptr for 1.
Executor* TeamOf(size_t threads);

// Medians over the iterations of a benchmark.
struct Measured {
  double seconds = 0;  // per call
  double limit = 0;    // what `limit` returned
};

// Times `call`(i) for i = 0, 1, ... Every few milliseconds in between,
// `limit`() measures what the machine can do: what else runs on it slows both,
// so that their ratio says more than each. `limit` may be empty.
Measured Measure(benchmark::State& state,
                 const std::function<void(size_t)>& call,
                 const std::function<double()>& limit);

// Sets the counter "limit": the share in percent that `rate` is of
// measured.limit, or if that is exceeded, of the best of more measurements. If
// that is exceeded by more than noise, it is no limit: there is no share then,
// and a label says so.
void SetShare(benchmark::State& state, double rate, const Measured& measured,
              const std::function<double()>& limit);

}  // namespace lutra::bench

#endif  // LUTRA_BENCH_KERNELS_MEASURE_H_
