// The rate of a variant's multiply-accumulate on registers: what shares of the
// peak are measured against.
//
// Included once for each variant, see int8_variant-inl.h.

#include "hwy/highway.h"
#include "kernels/lut/decode-inl.h"

LUTRA_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE::LUTRA_EXTENSION {

// Independent chains hide the latency of the addition to an accumulator: ten
// are enough for dot products and multiply-adds of every known CPU. Steps that
// need more registers than that leaves, and add in one cycle, ask for six.
#define LUTRA_EACH_PAIR(V) V(0, 1) V(2, 3) V(4, 5) V(6, 7) V(8, 9)

// Step::Accumulate(acc, w, x) for vectors of Step::D; returns the number of
// operations, Step::kOperations for each of its lanes.
template <class Step>
double RunChains(size_t rounds) {
  const typename Step::D d;
  using T = hn::TFromD<typename Step::D>;
  alignas(64) T w[kBlockRows];
  alignas(64) T x[2 * kBlockRows];
  const size_t lanes = hn::Lanes(d);
  for (size_t i = 0; i < lanes; ++i) w[i] = static_cast<T>(i % 3);
  for (size_t i = 0; i < 2 * lanes; ++i) x[i] = static_cast<T>(i % 5);
  const auto x0 = hn::Load(d, x);
  const auto x1 = hn::Load(d, x + lanes);
#define LUTRA_DEFINE(i, j) \
  auto a##i = hn::Zero(d); \
  auto a##j = a##i;
  LUTRA_EACH_PAIR(LUTRA_DEFINE)
#undef LUTRA_DEFINE
  // A loop that may run zero times makes g++ 12 copy every accumulator.
  size_t r = rounds;
  do {
    // To the compiler, w changes for every pair, so that no product can be
    // computed once for two chains or before the loop.
#define LUTRA_STEP(i, j)                  \
  if constexpr (i < Step::kChains) {      \
    asm volatile("" : "+m"(w));           \
    const auto v = hn::Load(d, w);        \
    a##i = Step::Accumulate(a##i, v, x0); \
    a##j = Step::Accumulate(a##j, v, x1); \
  }
    LUTRA_EACH_PAIR(LUTRA_STEP)
#undef LUTRA_STEP
  } while (--r != 0);
  auto sum = hn::Zero(d);
#define LUTRA_SUM(i, j) sum = hn::Add(sum, hn::Add(a##i, a##j));
  LUTRA_EACH_PAIR(LUTRA_SUM)
#undef LUTRA_SUM
  hn::Store(sum, d, x);
  asm volatile("" : "+m"(x));  // as if the sum were used
  return static_cast<double>(rounds * Step::kChains * lanes *
                             Step::kOperations);
}
#undef LUTRA_EACH_PAIR

}  // namespace lutra::kernels::HWY_NAMESPACE::LUTRA_EXTENSION
LUTRA_AFTER_NAMESPACE();
