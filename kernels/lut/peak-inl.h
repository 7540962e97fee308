// The rate of a variant's multiply-accumulate on registers: what shares of the
// peak are measured against.
//
// Included once for each variant, see int8_variant-inl.h.

#include "hwy/highway.h"
#include "kernels/target/hwy_compat-inl.h"
#include "kernels/target/lanes-inl.h"

LUTRA_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE::LUTRA_EXTENSION {

// A chain waits four or five cycles for itself, in which a CPU of two to four
// units does up to 20 others.
inline constexpr size_t kRegisterChains = LUTRA_REGISTERS == 32 ? 20 : 12;

#define LUTRA_EACH_CHAIN(C) \
  C(0)                      \
  C(1)                      \
  C(2)                      \
  C(3)                      \
  C(4)                      \
  C(5)                      \
  C(6)                      \
  C(7) C(8) C(9) C(10) C(11) C(12) C(13) C(14) C(15) C(16) C(17) C(18) C(19)

// A round is Step::kChains times Step::Accumulate(acc, w, x) for vectors of
// Step::D; returns the number of operations, Step::kOperations for each of its
// lanes. Where Step::kOneInstruction, the loop is nothing else, on registers.
// Other steps begin with a product, which compilers would take out of the loop;
// so to them w, in memory, changes.
template <class Step>
double RunChains(size_t rounds) {
  using D = typename Step::D;
  const D d;
  constexpr size_t kLanes = hn::MaxLanes(D());
  constexpr size_t kChains = Step::kChains;
  alignas(64) hn::TFromD<D> values[(kChains + 2) * kLanes] = {};
  auto* const factors = values + kChains * kLanes;
  asm volatile("" : "+m"(values));  // as if they were set
  auto w = hn::Load(d, factors);
  const auto x = hn::Load(d, factors + kLanes);
  // To the compiler every chain begins with another value, so that none can be
  // left out.
#define LUTRA_DEFINE(i) \
  auto a##i = hn::Load(d, values + (i < kChains ? i : 0) * kLanes);
  LUTRA_EACH_CHAIN(LUTRA_DEFINE)
#undef LUTRA_DEFINE
  // A loop that may run zero times makes g++ 12 copy every accumulator.
  size_t r = rounds;
  do {
#define LUTRA_STEP(i)                       \
  if constexpr (i < kChains) {              \
    if constexpr (!Step::kOneInstruction) { \
      asm volatile("" : "+m"(values));      \
      w = hn::Load(d, factors);             \
    }                                       \
    a##i = Step::Accumulate(a##i, w, x);    \
  }
    LUTRA_EACH_CHAIN(LUTRA_STEP)
#undef LUTRA_STEP
  } while (--r != 0);
#define LUTRA_STORE(i) \
  if constexpr (i < kChains) hn::Store(a##i, d, values + i * kLanes);
  LUTRA_EACH_CHAIN(LUTRA_STORE)
#undef LUTRA_STORE
  asm volatile("" : "+m"(values));  // as if they were used
  return static_cast<double>(rounds * kChains * hn::Lanes(d) *
                             Step::kOperations);
}
#undef LUTRA_EACH_CHAIN

}  // namespace lutra::kernels::HWY_NAMESPACE::LUTRA_EXTENSION
LUTRA_AFTER_NAMESPACE();
