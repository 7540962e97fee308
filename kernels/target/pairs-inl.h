// Products of pairs of 16-bit integers, which every CPU with 16-byte vectors
// adds in one or a few instructions.

#if defined(LUTRA_KERNELS_TARGET_PAIRS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LUTRA_KERNELS_TARGET_PAIRS_INL_H_
#undef LUTRA_KERNELS_TARGET_PAIRS_INL_H_
#else
#define LUTRA_KERNELS_TARGET_PAIRS_INL_H_
#endif

#include "hwy/highway.h"
#include "kernels/target/hwy_compat-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Lane i of the result is a[2i] * b[2i] + a[2i + 1] * b[2i + 1] in 32 bits, of
// whole vectors.
template <class VI16>
HWY_INLINE auto MultiplyPairs(VI16 a, VI16 b) {
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
  return hn::Vec512<int32_t>{_mm512_madd_epi16(a.raw, b.raw)};
#elif HWY_ARCH_X86 && HWY_TARGET == HWY_AVX2
  return hn::Vec256<int32_t>{_mm256_madd_epi16(a.raw, b.raw)};
#elif HWY_ARCH_X86
  return hn::Vec128<int32_t>{_mm_madd_epi16(a.raw, b.raw)};
#elif HWY_ARCH_WASM && HWY_TARGET == HWY_WASM
  return hn::Vec128<int32_t>{wasm_i32x4_dot_i16x8(a.raw, b.raw)};
#elif HWY_ARCH_ARM_A64 && !LUTRA_IS_SVE
  const int32x4_t low = vmull_s16(vget_low_s16(a.raw), vget_low_s16(b.raw));
  return hn::Vec128<int32_t>{vpaddq_s32(low, vmull_high_s16(a.raw, b.raw))};
#else
  const hn::RepartitionToWide<hn::DFromV<VI16> > d32;
  const auto a32 = hn::BitCast(d32, a);
  const auto b32 = hn::BitCast(d32, b);
  const auto even = hn::Mul(hn::ShiftRight<16>(hn::ShiftLeft<16>(a32)),
                            hn::ShiftRight<16>(hn::ShiftLeft<16>(b32)));
  return hn::Add(even,
                 hn::Mul(hn::ShiftRight<16>(a32), hn::ShiftRight<16>(b32)));
#endif
}

}  // namespace lutra::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
