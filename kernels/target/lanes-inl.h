// The vectors that LUT kernels work on, and how bits of two are put together.

#if defined(LUTRA_KERNELS_TARGET_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LUTRA_KERNELS_TARGET_LANES_INL_H_
#undef LUTRA_KERNELS_TARGET_LANES_INL_H_
#else
#define LUTRA_KERNELS_TARGET_LANES_INL_H_
#endif

#include "hwy/highway.h"
#include "kernels/format/layout.h"

// g++ wants the types in the region, too: it finds functions of theirs,
// instantiated outside of it, unfit to be inlined on SVE.
HWY_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// A vector covers a whole tile or a strip of it: Lanes(DI32) rows. Kernels loop
// over the strips of 16 rows, so that they work for every vector length.
using DU8 = hn::CappedTag<uint8_t, kTileBytes>;
using DI32 = hn::Repartition<int32_t, DU8>;
using DF32 = hn::Repartition<float, DU8>;
using VU8 = hn::Vec<DU8>;
using VI32 = hn::Vec<DI32>;
using VF32 = hn::Vec<DF32>;

// Bits of `yes` where `mask` has ones, else bits of `no`. IfVecThenElse is not
// that on AVX2 and below, where it looks at the top bit of each lane.
template <class V>
HWY_INLINE V SelectBits(V mask, V yes, V no) {
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
  return hn::IfVecThenElse(mask, yes, no);
#else
  return hn::Or(hn::And(mask, yes), hn::AndNot(mask, no));
#endif
}

}  // namespace lutra::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
