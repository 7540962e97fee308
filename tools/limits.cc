#include "tools/limits.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "kernels/dispatch.h"
#include "kernels/gemm_job.h"

namespace lutra::tools {
namespace {

// Calls part(thread, threads) on every thread; returns the sum of the results
// per second.
template <typename Part>
double Rate(pthreadpool_t pool, const Part& part) {
  struct Done {
    alignas(64) double amount = 0;
  };
  struct Context {
    const Part& part;
    std::vector<Done> done;
  };
  const size_t threads = pool ? pthreadpool_get_threads_count(pool) : 1;
  Context context{part, std::vector<Done>(threads)};
  const auto start = std::chrono::steady_clock::now();
  pthreadpool_parallelize_1d(
      pool,
      [](void* c, size_t thread) {
        auto* ctx = static_cast<Context*>(c);
        ctx->done[thread].amount = ctx->part(thread, ctx->done.size());
      },
      &context, threads, 0);
  const std::chrono::duration<double> seconds =
      std::chrono::steady_clock::now() - start;
  double sum = 0;
  for (const Done& d : context.done) sum += d.amount;
  return sum / seconds.count();
}

using CacheLine [[gnu::vector_size(64), gnu::may_alias]] = uint64_t;

// Reads four streams; returns the number of bytes.
double ReadStreams(const uint8_t* from, size_t bytes) {
  const auto* lines = reinterpret_cast<const CacheLine*>(from);
  const size_t stream = bytes / sizeof(CacheLine) / 4;
  CacheLine sum = {};
  for (size_t i = 0; i < stream; ++i) {
    sum ^= lines[i] ^ lines[i + stream] ^ lines[i + 2 * stream] ^
           lines[i + 3 * stream];
  }
  asm volatile("" : "+m"(sum));  // as if it were used
  return static_cast<double>(4 * stream * sizeof(CacheLine));
}

double PeakRate(pthreadpool_t pool, const kernels::KernelSet* set) {
  if (set == nullptr || set->peak == nullptr) return 0;
  constexpr size_t kRounds = 150000;
  return Rate(pool, [set](size_t, size_t) { return set->peak(kRounds); });
}

template <typename Measure>
double Best(int attempts, const Measure& measure) {
  double best = 0;
  for (int i = 0; i < attempts; ++i) best = std::max(best, measure());
  return best;
}

}  // namespace

double ReadRate(const uint8_t* memory, size_t bytes, pthreadpool_t pool) {
  return Rate(pool, [=](size_t thread, size_t threads) {
    const size_t part = bytes / threads / 64 * 64;
    return ReadStreams(memory + thread * part, part);
  });
}

double Int8Rate(pthreadpool_t pool) {
  return PeakRate(pool, kernels::GetActiveKernels().int8);
}

double FloatRate(pthreadpool_t pool) {
  return PeakRate(pool, kernels::GetActiveKernels().floats);
}

double ReadBandwidth(pthreadpool_t pool) {
  struct alignas(64) Line {
    uint8_t bytes[64] = {1};
  };
  const std::vector<Line> memory(size_t{4} << 20);  // 256 MiB
  return Best(7, [&] {
    return ReadRate(reinterpret_cast<const uint8_t*>(memory.data()),
                    memory.size() * sizeof(Line), pool);
  });
}

double Int8Peak(pthreadpool_t pool) {
  return Best(50, [pool] { return Int8Rate(pool); });
}

double FloatPeak(pthreadpool_t pool) {
  return Best(50, [pool] { return FloatRate(pool); });
}

}  // namespace lutra::tools
