// Every dot product of the int8 kernels: four products per 32-bit lane.
//
// DotAccumulate(d, acc, w, x): lane i of the result is
//   acc[i] + sum over j < 4 of w[4i + j] * x[4i + j]
// with x signed, and w signed where kSignedTables, else unsigned. Sums wrap
// around, so intermediate overflow does no harm.
//
// kPairsFit promises that w[j] * x[j] + w[j + 1] * x[j + 1] fits 16 bits; where
// the CPU lacks a four-way dot product this selects the saturating byte
// multiply.
//
// Included once for each variant, see int8_variant-inl.h.

#include <cstring>

#include "hwy/highway.h"
#include "kernels/decode-inl.h"
#include "kernels/gemm_job.h"
#include "kernels/hwy_compat-inl.h"

LUTRA_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE::LUTRA_EXTENSION {

#if HWY_ARCH_X86

inline constexpr bool kSignedTables = false;

#if LUTRA_HAS_DOT
inline constexpr bool kHasDot = true;

template <bool kPairsFit, class D, class VI, class VU>
HWY_INLINE VI DotAccumulate(D, VI acc, VU w, VI x) {
#if HWY_TARGET <= HWY_AVX3
  return VI{_mm512_dpbusd_epi32(acc.raw, w.raw, x.raw)};
#else
  return VI{_mm256_dpbusd_avx_epi32(acc.raw, w.raw, x.raw)};
#endif
}

#else
inline constexpr bool kHasDot = false;

// Pairs of 16-bit products added.
template <class VI16>
HWY_INLINE auto MultiplyPairs(VI16 a, VI16 b) {
#if HWY_TARGET <= HWY_AVX3
  return hn::Vec512<int32_t>{_mm512_madd_epi16(a.raw, b.raw)};
#elif HWY_TARGET == HWY_AVX2
  return hn::Vec256<int32_t>{_mm256_madd_epi16(a.raw, b.raw)};
#else
  return hn::Vec128<int32_t>{_mm_madd_epi16(a.raw, b.raw)};
#endif
}

template <class VU8, class VI8>
HWY_INLINE auto MultiplyBytePairs(VU8 w, VI8 x) {
#if HWY_TARGET <= HWY_AVX3
  return hn::Vec512<int16_t>{_mm512_maddubs_epi16(w.raw, x.raw)};
#elif HWY_TARGET == HWY_AVX2
  return hn::Vec256<int16_t>{_mm256_maddubs_epi16(w.raw, x.raw)};
#else
  return hn::Vec128<int16_t>{_mm_maddubs_epi16(w.raw, x.raw)};
#endif
}

template <bool kPairsFit, class D, class VI, class VU>
HWY_INLINE VI DotAccumulate(D d, VI acc, VU w, VI x) {
  const hn::Repartition<int16_t, D> d16;
  const hn::Repartition<uint16_t, D> du16;
  if constexpr (kPairsFit) {
    const auto pairs = MultiplyBytePairs(w, x);
    return hn::Add(acc, MultiplyPairs(pairs, hn::Set(d16, 1)));
  } else {
    const auto w16 = hn::BitCast(du16, w);
    const auto x16 = hn::BitCast(d16, x);
    const auto w_even = hn::And(w16, hn::Set(du16, 0xFF));
    const auto w_odd = hn::ShiftRight<8>(w16);
    const auto x_even = hn::ShiftRight<8>(hn::ShiftLeft<8>(x16));
    const auto x_odd = hn::ShiftRight<8>(x16);
    const auto even = MultiplyPairs(hn::BitCast(d16, w_even), x_even);
    const auto odd = MultiplyPairs(hn::BitCast(d16, w_odd), x_odd);
    (void)d;
    return hn::Add(acc, hn::Add(even, odd));
  }
}
#endif  // LUTRA_HAS_DOT

#else  // not x86: signed bytes

inline constexpr bool kSignedTables = true;
inline constexpr bool kHasDot = true;  // one form for all tables

#if HWY_ARCH_ARM_A64 && HWY_TARGET >= HWY_NEON

template <bool kPairsFit, class D, class VI, class VU>
HWY_INLINE VI DotAccumulate(D, VI acc, VU w, VI x) {
  const int8x16_t w8 = vreinterpretq_s8_u8(w.raw);
  const int8x16_t x8 = vreinterpretq_s8_s32(x.raw);
#if defined(__ARM_FEATURE_DOTPROD)
  return VI{vdotq_s32(acc.raw, w8, x8)};
#else
  const int16x8_t low = vmull_s8(vget_low_s8(w8), vget_low_s8(x8));
  const int16x8_t high = vmull_high_s8(w8, x8);
  return VI{
      vaddq_s32(acc.raw, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)))};
#endif
}

#elif HWY_ARCH_ARM_A64  // SVE

template <bool kPairsFit, class D, class VI, class VU>
HWY_INLINE VI DotAccumulate(D, VI acc, VU w, VI x) {
  return svdot_s32(acc, svreinterpret_s8_u8(w), svreinterpret_s8_s32(x));
}

#else  // any other CPU: byte j of each lane in turn

template <int kByte, class VI>
HWY_INLINE VI SignedByte(VI v) {
  return hn::ShiftRight<24>(hn::ShiftLeft<24 - 8 * kByte>(v));
}

template <bool kPairsFit, class D, class VI, class VU>
HWY_INLINE VI DotAccumulate(D d, VI acc, VU w, VI x) {
  const VI w32 = hn::BitCast(d, w);
  const VI p0 = hn::Mul(SignedByte<0>(w32), SignedByte<0>(x));
  const VI p1 = hn::Mul(SignedByte<1>(w32), SignedByte<1>(x));
  const VI p2 = hn::Mul(SignedByte<2>(w32), SignedByte<2>(x));
  const VI p3 = hn::Mul(SignedByte<3>(w32), SignedByte<3>(x));
  return hn::Add(acc, hn::Add(hn::Add(p0, p1), hn::Add(p2, p3)));
}

#endif
#endif  // HWY_ARCH_X86

// Four consecutive activations in every lane.
HWY_INLINE VI32 FourValues(const int8_t* values) {
  int32_t four;
  std::memcpy(&four, values, sizeof(four));
  return hn::Set(DI32(), four);
}

// True where kPairsFit holds: 2 * 129 * 127 and 2 * 128 * -128 still fit.
inline bool PairsFit(const GemmJob& job) {
  const int span = job.w.table_max - job.w.table_min;
  return span <= (job.type == ActivationType::kInt8Symmetric ? 129 : 128);
}

}  // namespace lutra::kernels::HWY_NAMESPACE::LUTRA_EXTENSION
HWY_AFTER_NAMESPACE();
