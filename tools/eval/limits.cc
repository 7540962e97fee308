#include "lutra/eval/limits.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <chrono>
#include <cstring>
#include <new>
#include <vector>

#include "lutra/kernels/peak.h"

namespace lutra::eval {
namespace {

// Calls part(thread, threads) on every thread; returns the sum of the results
// per second.
template <typename Part>
double Rate(Executor* executor, const Part& part) {
  struct Done {
    alignas(64) double amount = 0;
  };
  struct Context {
    const Part& part;
    std::vector<Done> done;
  };
  const size_t threads = executor == nullptr ? 1 : executor->threads();
  Context context{part, std::vector<Done>(threads)};
  const Executor::Task run = [](void* c, size_t thread) {
    auto* ctx = static_cast<Context*>(c);
    ctx->done[thread].amount = ctx->part(thread, ctx->done.size());
  };
  const auto start = std::chrono::steady_clock::now();
  if (executor == nullptr) {
    run(&context, 0);
  } else {
    executor->Run(threads, run, &context);
  }
  const std::chrono::duration<double> seconds =
      std::chrono::steady_clock::now() - start;
  double sum = 0;
  for (const Done& d : context.done) sum += d.amount;
  return sum / seconds.count();
}

using CacheLine [[gnu::vector_size(64), gnu::may_alias]] = uint64_t;

// Reads four streams of lines.
template <bool kPrefetches>
void ReadLines(const CacheLine* lines, size_t stream) {
  constexpr size_t kAhead = 1024 / sizeof(CacheLine);
  CacheLine sum = {};
  for (size_t i = 0; i < stream; ++i) {
    for (size_t s = 0; s < 4; ++s) {
      const CacheLine* const line = lines + s * stream + i;
      if constexpr (kPrefetches) __builtin_prefetch(line + kAhead);
      sum ^= *line;
    }
  }
  // As if it were used, and memory another the next time.
  asm volatile("" : "+m"(sum) : : "memory");
}

// Reads so many bytes, about; returns the number. Asked for 1 KiB ahead, lines
// of memory come up to a fifth faster than by what a CPU foresees (a Xeon with
// AMX); for those that are near it would be a second load.
double ReadStreams(const uint8_t* from, size_t bytes) {
  constexpr size_t kNear = 256 << 10;
  const auto* lines = reinterpret_cast<const CacheLine*>(from);
  const size_t stream = bytes / sizeof(CacheLine) / 4;
  bytes <= kNear ? ReadLines<false>(lines, stream)
                 : ReadLines<true>(lines, stream);
  return static_cast<double>(4 * stream * sizeof(CacheLine));
}

double ReadingRate(const uint8_t* memory, size_t bytes, Executor* executor) {
  return Rate(executor, [=](size_t thread, size_t threads) {
    const size_t part = bytes / threads / 64 * 64;
    return ReadStreams(memory + thread * part, part);
  });
}

double PeakRate(Executor* executor, double (*run)(size_t rounds)) {
  constexpr size_t kRounds = 150000;
  return Rate(executor, [run](size_t, size_t) { return run(kRounds); });
}

template <typename Measure>
double Best(int attempts, const Measure& measure) {
  double best = 0;
  for (int i = 0; i < attempts; ++i) best = std::max(best, measure());
  return best;
}

}  // namespace

HugePages AllocateHugePages(size_t bytes) {
  constexpr size_t kHugePage = size_t{2} << 20;
  const size_t size = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  HugePages memory(static_cast<uint8_t*>(std::aligned_alloc(kHugePage, size)));
  if (memory == nullptr) throw std::bad_alloc();
#if defined(__linux__)
  madvise(memory.get(), size, MADV_HUGEPAGE);  // a wish: failing is no harm
#endif
  std::memset(memory.get(), 1, size);  // else all may be one page of zeros
  return memory;
}

UncachedMemory::UncachedMemory()
    : own_(AllocateHugePages(kBytes)), memory_(own_.get()), bytes_(kBytes) {}

UncachedMemory::UncachedMemory(const uint8_t* memory, size_t bytes)
    : memory_(memory), bytes_(bytes) {}

double UncachedMemory::ReadRate(Executor* executor) {
  const size_t bytes = std::min(kPieceBytes, bytes_);
  if (at_ + bytes > bytes_) at_ = 0;
  const uint8_t* const piece = memory_ + at_;
  at_ += bytes;
  return ReadingRate(piece, bytes, executor);
}

double UncachedMemory::ReadAllRate(Executor* executor) const {
  return ReadingRate(memory_, bytes_, executor);
}

double Int8Rate(Executor* executor) {
  return PeakRate(executor, &kernels::RunInt8Peak);
}

double FloatRate(Executor* executor) {
  return PeakRate(executor, &kernels::RunFloatPeak);
}

double ReadBandwidth(Executor* executor) {
  const UncachedMemory memory;
  return Best(7, [&] { return memory.ReadAllRate(executor); });
}

double ReadBandwidth(Executor* executor, size_t bytes) {
  if (bytes >= UncachedMemory::kBytes) return ReadBandwidth(executor);
  const size_t threads = executor == nullptr ? 1 : executor->threads();
  // Four streams of a line for each thread are the least.
  const size_t part = std::max<size_t>(bytes / threads / 256, 1) * 256;
  const HugePages memory = AllocateHugePages(part * threads);
  const size_t rounds =
      std::max<size_t>(1, UncachedMemory::kPieceBytes / part / threads);
  return Best(7, [&] {
    return Rate(executor, [&](size_t thread, size_t) {
      double read = 0;
      for (size_t i = 0; i < rounds; ++i) {
        read += ReadStreams(memory.get() + thread * part, part);
      }
      return read;
    });
  });
}

double Int8Peak(Executor* executor) {
  return Best(50, [executor] { return Int8Rate(executor); });
}

double FloatPeak(Executor* executor) {
  return Best(50, [executor] { return FloatRate(executor); });
}

}  // namespace lutra::eval
