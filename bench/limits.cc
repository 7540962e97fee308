#include "bench/limits.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/limits.cc"
// Must come before highway.h.
#include "hwy/foreach_target.h"
// Must come before the -inl.h files.
#include "hwy/highway.h"

#include "kernels/hwy_compat-inl.h"

#if !LUTRA_USE_REFERENCE
#include "kernels/decode-inl.h"
#undef LUTRA_BEFORE_NAMESPACE
#undef LUTRA_EXTENSION
#undef LUTRA_HAS_DOT
#define LUTRA_EXTENSION peak
// As in kernels/int8_kernels.cc.
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3_DL
#define LUTRA_BEFORE_NAMESPACE() \
  HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR ",avx512vnni") static_assert(true, "")
#define LUTRA_HAS_DOT 1
#else
#define LUTRA_BEFORE_NAMESPACE() HWY_BEFORE_NAMESPACE()
#define LUTRA_HAS_DOT 0
#endif
#include "kernels/dot-inl.h"

LUTRA_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE {
using namespace peak;

// Twelve independent chains hide the latency of every known CPU.
#define LUTRA_EACH(V) \
  V(0) V(1) V(2) V(3) V(4) V(5) V(6) V(7) V(8) V(9) V(10) V(11)

// Returns the number of operations done.
double DotLoop(size_t rounds, int32_t* sink) {
  const DI32 d;
  const VI32 x = hn::Set(d, sink[0]);
  const VU8 w = hn::BitCast(DU8(), hn::Set(d, sink[1]));
#define LUTRA_DEFINE(i) VI32 a##i = hn::Set(d, sink[0] + i);
  LUTRA_EACH(LUTRA_DEFINE)
  for (size_t r = 0; r < rounds; ++r) {
#define LUTRA_STEP(i) a##i = DotAccumulate<true>(d, a##i, w, x);
    LUTRA_EACH(LUTRA_STEP)
  }
  VI32 sum = hn::Zero(d);
#define LUTRA_SUM(i) sum = hn::Add(sum, a##i);
  LUTRA_EACH(LUTRA_SUM)
  sink[0] += hn::GetLane(hn::SumOfLanes(d, sum)) & 1;
  return static_cast<double>(rounds * 12 * hn::Lanes(DU8()) * 2);
#undef LUTRA_DEFINE
#undef LUTRA_STEP
#undef LUTRA_SUM
}

double FmaLoop(size_t rounds, int32_t* sink) {
  const DF32 d;
  const VF32 x = hn::Set(d, static_cast<float>(sink[0]));
  const VF32 w = hn::Set(d, static_cast<float>(sink[1]) * 0x1p-30f);
#define LUTRA_DEFINE(i) VF32 a##i = hn::Set(d, static_cast<float>(i));
  LUTRA_EACH(LUTRA_DEFINE)
  for (size_t r = 0; r < rounds; ++r) {
#define LUTRA_STEP(i) a##i = hn::MulAdd(w, x, a##i);
    LUTRA_EACH(LUTRA_STEP)
  }
  VF32 sum = hn::Zero(d);
#define LUTRA_SUM(i) sum = hn::Add(sum, a##i);
  LUTRA_EACH(LUTRA_SUM)
  sink[0] += hn::GetLane(hn::SumOfLanes(d, sum)) > 1e30f ? 1 : 0;
  return static_cast<double>(rounds * 12 * hn::Lanes(d) * 2);
#undef LUTRA_DEFINE
#undef LUTRA_STEP
#undef LUTRA_SUM
}
#undef LUTRA_EACH

// Reads `bytes` in four streams, which keeps more of the memory busy than one.
double ReadLoop(const uint8_t* from, size_t bytes, int32_t* sink) {
  const DI32 d;
  const size_t stream = bytes / 4;
  const size_t step = hn::Lanes(DU8());
  VI32 a = hn::Zero(d);
  VI32 b = a;
  VI32 c = a;
  VI32 e = a;
  const auto* p = reinterpret_cast<const int32_t*>(from);
  for (size_t i = 0; i < stream / 4; i += step / 4) {
    a = hn::Xor(a, hn::Load(d, p + i));
    b = hn::Xor(b, hn::Load(d, p + i + stream / 4));
    c = hn::Xor(c, hn::Load(d, p + i + stream / 2));
    e = hn::Xor(e, hn::Load(d, p + i + stream / 4 * 3));
  }
  const VI32 sum = hn::Xor(hn::Xor(a, b), hn::Xor(c, e));
  sink[0] += hn::GetLane(hn::SumOfLanes(d, sum)) & 1;
  return static_cast<double>(bytes);
}

}  // namespace lutra::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#else

HWY_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE {

double DotLoop(size_t rounds, int32_t* sink) {
  for (size_t r = 0; r < rounds; ++r) sink[0] += sink[1] * sink[0];
  return static_cast<double>(2 * rounds);
}
double FmaLoop(size_t rounds, int32_t* sink) { return DotLoop(rounds, sink); }
double ReadLoop(const uint8_t* from, size_t bytes, int32_t* sink) {
  for (size_t i = 0; i < bytes; i += 64) sink[0] ^= from[i];
  return static_cast<double>(bytes);
}

}  // namespace lutra::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE
namespace lutra::kernels {
HWY_EXPORT(DotLoop);
HWY_EXPORT(FmaLoop);
HWY_EXPORT(ReadLoop);

double RunDot(size_t rounds, int32_t* sink) {
  return HWY_DYNAMIC_DISPATCH(DotLoop)(rounds, sink);
}
double RunFma(size_t rounds, int32_t* sink) {
  return HWY_DYNAMIC_DISPATCH(FmaLoop)(rounds, sink);
}
double RunRead(const uint8_t* from, size_t bytes, int32_t* sink) {
  return HWY_DYNAMIC_DISPATCH(ReadLoop)(from, bytes, sink);
}
}  // namespace lutra::kernels

namespace lutra::bench {
namespace {

// Runs `part`(thread) on every thread of the pool; returns the best rate.
template <typename Part>
double BestRate(pthreadpool_t pool, int attempts, const Part& part) {
  const size_t threads = pool ? pthreadpool_get_threads_count(pool) : 1;
  std::vector<double> done(threads * 16);  // a cache line each
  struct Context {
    const Part* part;
    std::vector<double>* done;
  } context{&part, &done};
  double best = 0;
  for (int i = 0; i < attempts; ++i) {
    const auto start = std::chrono::steady_clock::now();
    pthreadpool_parallelize_1d(
        pool,
        [](void* c, size_t thread) {
          auto* ctx = static_cast<Context*>(c);
          (*ctx->done)[thread * 16] = (*ctx->part)(thread);
        },
        &context, threads, 0);
    const std::chrono::duration<double> seconds =
        std::chrono::steady_clock::now() - start;
    double sum = 0;
    for (size_t t = 0; t < threads; ++t) sum += done[t * 16];
    best = std::max(best, sum / seconds.count());
  }
  return best;
}

}  // namespace

double ReadBandwidth(pthreadpool_t pool) {
  constexpr size_t kBytes = size_t{128} << 20;  // for each thread
  const size_t threads = pool ? pthreadpool_get_threads_count(pool) : 1;
  struct Free {
    void operator()(uint8_t* p) const { std::free(p); }
  };
  const std::unique_ptr<uint8_t, Free> memory(
      static_cast<uint8_t*>(std::aligned_alloc(4096, kBytes * threads)));
  std::memset(memory.get(), 1, kBytes * threads);
  return BestRate(pool, 7, [&memory](size_t thread) {
    int32_t sink[2] = {0, 0};
    return kernels::RunRead(memory.get() + thread * kBytes, kBytes, sink);
  });
}

double Int8Peak(pthreadpool_t pool) {
  return BestRate(pool, 15, [](size_t) {
    int32_t sink[2] = {1, 3};
    return kernels::RunDot(500000, sink);
  });
}

double FloatPeak(pthreadpool_t pool) {
  return BestRate(pool, 15, [](size_t) {
    int32_t sink[2] = {1, 3};
    return kernels::RunFma(500000, sink);
  });
}

}  // namespace lutra::bench
#endif  // HWY_ONCE
