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

// The byte of each 16 of `table` that `index`, below 16, says.
HWY_INLINE VU8 LookUp(VU8 table, VU8 index) {
#if HWY_ARCH_WASM && HWY_TARGET == HWY_WASM
  // Highway 1.0.3 does it byte by byte, for engines of 2021.
  return VU8{wasm_i8x16_swizzle(table.raw, index.raw)};
#else
  return hn::TableLookupBytes(table, index);
#endif
}

}  // namespace lutra::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
