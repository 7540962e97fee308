// The vectors that LUT kernels work on.

#if defined(LUTRA_KERNELS_TARGET_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LUTRA_KERNELS_TARGET_LANES_INL_H_
#undef LUTRA_KERNELS_TARGET_LANES_INL_H_
#else
#define LUTRA_KERNELS_TARGET_LANES_INL_H_
#endif

#include "hwy/highway.h"
#include "kernels/format/layout.h"

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

}  // namespace lutra::kernels::HWY_NAMESPACE

#endif  // per-target include guard
