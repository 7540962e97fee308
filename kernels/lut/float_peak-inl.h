// The rate of fused multiply-adds on registers.
//
// Included once for each Highway target that has them.

#include "hwy/highway.h"
#include "kernels/target/hwy_compat-inl.h"
#include "kernels/target/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// A chain waits four or five cycles for itself, in which a CPU of two to four
// units does up to 20 others.
#define LUTRA_TWELVE_CHAINS(C) \
  C(0) C(1) C(2) C(3) C(4) C(5) C(6) C(7) C(8) C(9) C(10) C(11)
#if LUTRA_REGISTERS == 32
#define LUTRA_EACH_CHAIN(C) \
  LUTRA_TWELVE_CHAINS(C) C(12) C(13) C(14) C(15) C(16) C(17) C(18) C(19)
inline constexpr size_t kPeakChains = 20;
#else
#define LUTRA_EACH_CHAIN(C) LUTRA_TWELVE_CHAINS(C)
inline constexpr size_t kPeakChains = 12;
#endif

// The loop is nothing but multiply-adds of registers: to the compiler every
// chain begins with another value, so that none can be left out, and the
// factors stay the same.
inline double RunFloatChains(size_t rounds) {
  const DF32 d;
  constexpr size_t kLanes = hn::MaxLanes(DF32());
  alignas(64) float values[(kPeakChains + 2) * kLanes] = {};
  asm volatile("" : "+m"(values));  // as if they were set
  const auto w = hn::Load(d, values + kPeakChains * kLanes);
  const auto x = hn::Load(d, values + (kPeakChains + 1) * kLanes);
#define LUTRA_DEFINE(i) auto a##i = hn::Load(d, values + i * kLanes);
  LUTRA_EACH_CHAIN(LUTRA_DEFINE)
#undef LUTRA_DEFINE
  // A loop that may run zero times makes g++ 12 copy every accumulator.
  size_t r = rounds;
  do {
#define LUTRA_STEP(i) a##i = hn::MulAdd(w, x, a##i);
    LUTRA_EACH_CHAIN(LUTRA_STEP)
#undef LUTRA_STEP
  } while (--r != 0);
#define LUTRA_STORE(i) hn::Store(a##i, d, values + i * kLanes);
  LUTRA_EACH_CHAIN(LUTRA_STORE)
#undef LUTRA_STORE
  asm volatile("" : "+m"(values));  // as if they were used
  return 2.0 * static_cast<double>(rounds * kPeakChains * hn::Lanes(d));
}
#undef LUTRA_EACH_CHAIN
#undef LUTRA_TWELVE_CHAINS

}  // namespace lutra::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
