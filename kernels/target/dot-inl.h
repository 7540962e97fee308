// The multiplication of int8: all that an instruction set adds to the kernels.
//
// A variant is a Highway target, or a target with an extension that it does not
// imply. The list below says which extensions there are and how compilers and
// CPUs name them; the functions after it multiply. To add an instruction set,
// extend these two.
//
// DotAccumulate(d, acc, w, x): lane i of the result is
//   acc[i] + sum over j < 4 of w[4i + j] * x[4i + j]
// with x signed, and w signed where kSignedTables, else unsigned. Sums wrap
// around, so intermediate overflow does no harm. kPairsFit promises that
// w[j] * x[j] + w[j + 1] * x[j + 1] fits 16 bits; where the CPU lacks a
// four-way dot product this selects the saturating byte multiply.
//
// MatrixAccumulate(acc, w, x), where kHasMatrix: in each block of 16 bytes, w
// holds 8 columns of 2 rows and x those of 2 tokens; lane 2r + t of the result
// is
//   acc[2r + t] + sum over j < 8 of w[8r + j] * x[8t + j]
//
// With LUTRA_TILES the GEMM's products are those of tile registers instead, see
// amx_gemm-inl.h.
//
// Included once for each variant, see int8_variant-inl.h.

#include <cstring>

#include "hwy/highway.h"
#include "kernels/target/cpu_features.h"
#include "kernels/target/hwy_compat-inl.h"
#include "kernels/target/lanes-inl.h"
#include "kernels/target/pairs-inl.h"

// For each target, LUTRA_EXTENSION_INDEX counts from 0, the target as it is, to
// kExtensions - 1; of two that exist, the higher is better. An extension has
//   LUTRA_EXTENSION_NAME        what follows the target in the variant's name
//   LUTRA_EXTENSION_SUPPORTED   whether this CPU has it
//   LUTRA_EXTENSION_ATTRIBUTES  for the compiler, if not those of the target
//   LUTRA_DOT                   1 for a dot product of four bytes
//   LUTRA_MATRIX                1 for MatrixAccumulate
//   LUTRA_TILES                 1 for tile registers
//   LUTRA_GEMV_OF               whose GEMV it uses, if not its own; with tile
//                               registers also what small products use
#undef LUTRA_EXTENSION_NAME
#undef LUTRA_EXTENSION_SUPPORTED
#undef LUTRA_EXTENSION_ATTRIBUTES
#undef LUTRA_DOT
#undef LUTRA_MATRIX
#undef LUTRA_TILES
#undef LUTRA_GEMV_OF

// Arm's intrinsics exist in functions with the attribute, or, before clang 16,
// only if the whole file is compiled for them.
#undef LUTRA_ARM_INTRINSICS
#undef LUTRA_ARM_STR
#if HWY_ARCH_ARM_A64 && (HWY_COMPILER_CLANG == 0 || HWY_COMPILER_CLANG >= 1600)
#define LUTRA_ARM_INTRINSICS 1
#ifdef HWY_TARGET_STR
#define LUTRA_ARM_STR "arch=armv8.2-a," HWY_TARGET_STR
#else
#define LUTRA_ARM_STR "arch=armv8.2-a"
#endif
#else
#define LUTRA_ARM_INTRINSICS 0
#endif

#if LUTRA_EXTENSION_INDEX == 0
#define LUTRA_EXTENSION_NAME ""
#define LUTRA_EXTENSION_SUPPORTED true
#if LUTRA_IS_SVE || defined(__ARM_FEATURE_DOTPROD)
#define LUTRA_DOT 1
#endif

#elif defined(LUTRA_NO_EXTENSIONS)  // a small build

#elif HWY_ARCH_X86
#if LUTRA_EXTENSION_INDEX == 1 && HWY_TARGET == HWY_AVX3  // since 2019
#define LUTRA_EXTENSION_NAME "+VNNI"
#define LUTRA_EXTENSION_SUPPORTED CpuHasAvx512Vnni()
#define LUTRA_EXTENSION_ATTRIBUTES HWY_TARGET_STR ",avx512vnni"
#define LUTRA_DOT 1
#elif LUTRA_EXTENSION_INDEX == 2 && HWY_TARGET == HWY_AVX3 && \
    HWY_ARCH_X86_64 && defined(__linux__)  // Xeons since 2023
#define LUTRA_EXTENSION_NAME "+AMX"
#define LUTRA_EXTENSION_SUPPORTED (CpuHasAvx512Vnni() && CpuHasAmxInt8())
#define LUTRA_EXTENSION_ATTRIBUTES \
  HWY_TARGET_STR ",avx512vnni,amx-tile,amx-int8"
#define LUTRA_DOT 1
#define LUTRA_TILES 1
#define LUTRA_GEMV_OF kExtension1
#elif LUTRA_EXTENSION_INDEX == 1 && HWY_TARGET == HWY_AVX2  // Alder Lake
#define LUTRA_EXTENSION_NAME "+VNNI"
#define LUTRA_EXTENSION_SUPPORTED CpuHasAvxVnni()
#define LUTRA_EXTENSION_ATTRIBUTES HWY_TARGET_STR ",avxvnni"
#define LUTRA_DOT 1
#endif

#elif LUTRA_ARM_INTRINSICS
#if LUTRA_EXTENSION_INDEX == 1 && HWY_TARGET == HWY_NEON && \
    !defined(__ARM_FEATURE_DOTPROD)  // most phones since 2018
#define LUTRA_EXTENSION_NAME "+DOTPROD"
#define LUTRA_EXTENSION_SUPPORTED CpuHasArmDotProduct()
#define LUTRA_EXTENSION_ATTRIBUTES LUTRA_ARM_STR ",+dotprod"
#define LUTRA_DOT 1
#elif LUTRA_EXTENSION_INDEX == 2 && HWY_TARGET == HWY_NEON
#define LUTRA_EXTENSION_NAME "+I8MM"
#define LUTRA_EXTENSION_SUPPORTED (CpuHasArmDotProduct() && CpuHasArmI8mm())
#define LUTRA_EXTENSION_ATTRIBUTES LUTRA_ARM_STR ",+dotprod,+i8mm"
#define LUTRA_DOT 1
#define LUTRA_MATRIX 1
#ifdef __ARM_FEATURE_DOTPROD
#define LUTRA_GEMV_OF kExtension0
#else
#define LUTRA_GEMV_OF kExtension1
#endif
#elif LUTRA_EXTENSION_INDEX == 2 && LUTRA_IS_SVE
#define LUTRA_EXTENSION_NAME "+I8MM"
#define LUTRA_EXTENSION_SUPPORTED CpuHasArmI8mm()
#define LUTRA_EXTENSION_ATTRIBUTES LUTRA_ARM_STR ",+i8mm"
#define LUTRA_DOT 1
#define LUTRA_MATRIX 1
#define LUTRA_GEMV_OF kExtension0
#endif
#endif

#ifndef LUTRA_DOT
#define LUTRA_DOT 0
#endif
#ifndef LUTRA_MATRIX
#define LUTRA_MATRIX 0
#endif
#ifndef LUTRA_TILES
#define LUTRA_TILES 0
#endif

// Functions of a variant have no HWY_ATTR: on clang it would override the
// attributes pushed here.
#undef LUTRA_BEFORE_NAMESPACE
#undef LUTRA_AFTER_NAMESPACE
#ifdef LUTRA_EXTENSION_ATTRIBUTES
#define LUTRA_BEFORE_NAMESPACE()                  \
  HWY_PUSH_ATTRIBUTES(LUTRA_EXTENSION_ATTRIBUTES) \
  static_assert(true, "")
#define LUTRA_AFTER_NAMESPACE() \
  HWY_POP_ATTRIBUTES            \
  static_assert(true, "")
#else
#define LUTRA_BEFORE_NAMESPACE() HWY_BEFORE_NAMESPACE()
#define LUTRA_AFTER_NAMESPACE() HWY_AFTER_NAMESPACE()
#endif

#ifdef LUTRA_EXTENSION_NAME

LUTRA_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE::LUTRA_EXTENSION {

inline constexpr bool kHasMatrix = LUTRA_MATRIX;
// Columns of a token that lie together between those of others.
#if LUTRA_TILES
// A row of a tile register, or as much of it as divides every group.
inline size_t ValueColumns(const GemmJob& job) {
  const size_t all = job.w->geometry.padded_group | job.w->geometry.padded_last;
  return std::min<size_t>(64, all & (~all + 1));
}
#else
constexpr size_t ValueColumns(const GemmJob& /*job*/) {
  return kHasMatrix ? kMatrixColumns : kTileColumns;
}
#endif

#if HWY_ARCH_X86

inline constexpr bool kSignedTables = false;

#if LUTRA_DOT
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
#endif  // LUTRA_DOT

#elif HWY_ARCH_WASM && HWY_TARGET == HWY_WASM

inline constexpr bool kSignedTables = false;
inline constexpr bool kHasDot = true;  // one form for all tables

// Bytes 0 and 2 of each lane, and 1 and 3, as pairs of 16 bits.
template <bool kPairsFit, class D, class VI, class VU>
HWY_INLINE VI DotAccumulate(D, VI acc, VU w, VI x) {
  const auto even =
      wasm_i32x4_dot_i16x8(wasm_v128_and(w.raw, wasm_i16x8_const_splat(0xFF)),
                           wasm_i16x8_shr(wasm_i16x8_shl(x.raw, 8), 8));
  const auto odd =
      wasm_i32x4_dot_i16x8(wasm_u16x8_shr(w.raw, 8), wasm_i16x8_shr(x.raw, 8));
  return VI{wasm_i32x4_add(acc.raw, wasm_i32x4_add(even, odd))};
}

#else  // neither x86 nor WebAssembly: signed bytes

inline constexpr bool kSignedTables = true;
inline constexpr bool kHasDot = true;  // one form for all tables

#if LUTRA_IS_SVE

template <bool kPairsFit, class D, class VI, class VU>
HWY_INLINE VI DotAccumulate(D, VI acc, VU w, VI x) {
  return svdot_s32(acc, svreinterpret_s8_u8(w), svreinterpret_s8_s32(x));
}

#if LUTRA_MATRIX
HWY_INLINE VI32 MatrixAccumulate(VI32 acc, VU8 w, VU8 x) {
  return svmmla_s32(acc, svreinterpret_s8_u8(w), svreinterpret_s8_u8(x));
}
#endif

#elif HWY_ARCH_ARM_A64

template <bool kPairsFit, class D, class VI, class VU>
HWY_INLINE VI DotAccumulate(D, VI acc, VU w, VI x) {
  const int8x16_t w8 = vreinterpretq_s8_u8(w.raw);
  const int8x16_t x8 = vreinterpretq_s8_s32(x.raw);
#if LUTRA_DOT
  return VI{vdotq_s32(acc.raw, w8, x8)};
#else
  const int16x8_t low = vmull_s8(vget_low_s8(w8), vget_low_s8(x8));
  const int16x8_t high = vmull_high_s8(w8, x8);
  return VI{
      vaddq_s32(acc.raw, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)))};
#endif
}

#if LUTRA_MATRIX
HWY_INLINE VI32 MatrixAccumulate(VI32 acc, VU8 w, VU8 x) {
  return VI32{vmmlaq_s32(acc.raw, vreinterpretq_s8_u8(w.raw),
                         vreinterpretq_s8_u8(x.raw))};
}
#endif

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
  const int span = job.w->table_max - job.w->table_min;
  return span <= (Traits(job.type).has_zero_point ? 128 : 129);
}

}  // namespace lutra::kernels::HWY_NAMESPACE::LUTRA_EXTENSION
LUTRA_AFTER_NAMESPACE();

// Asked on every CPU, so outside the attributes.
namespace lutra::kernels::HWY_NAMESPACE::LUTRA_EXTENSION {
inline bool IsExtensionSupported() { return LUTRA_EXTENSION_SUPPORTED; }
}  // namespace lutra::kernels::HWY_NAMESPACE::LUTRA_EXTENSION

#endif  // LUTRA_EXTENSION_NAME
