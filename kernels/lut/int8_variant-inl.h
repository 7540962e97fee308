// The int8 kernels of one variant. Included once for each, with
//   LUTRA_EXTENSION_INDEX  an extension of the Highway target of this pass, see
//                          dot-inl.h; nothing is compiled if there is none
//   LUTRA_EXTENSION        the namespace

#include "hwy/highway.h"
#include "kernels/lut/decode-inl.h"
#include "kernels/lut/finish-inl.h"
#include "kernels/lut/gemm_job.h"
#include "kernels/lut/panel-inl.h"
#include "kernels/target/hwy_compat-inl.h"

// These use each other in this order.
// clang-format off
#include "kernels/target/dot-inl.h"
#ifdef LUTRA_EXTENSION_NAME
#include "kernels/lut/quantize-inl.h"
#ifndef LUTRA_GEMV_OF
#include "kernels/lut/gemv-inl.h"
#include "kernels/lut/int8_gemv-inl.h"
#endif
#include "kernels/lut/int8_tile-inl.h"
#if LUTRA_MATRIX
#include "kernels/lut/matrix_tile-inl.h"
#endif
#if LUTRA_TILES
#include "kernels/lut/amx_gemm-inl.h"
#else
#include "kernels/lut/int8_gemm-inl.h"
#endif
#include "kernels/lut/peak-inl.h"
// clang-format on

LUTRA_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE::LUTRA_EXTENSION {

// The multiplication that the GEMM uses, for measuring its peak.
struct PeakStep {
  using D = DI32;
  static constexpr bool kOneInstruction = LUTRA_DOT;
  static constexpr size_t kOperations = kHasMatrix ? 16 : 8;
  // Steps of several instructions need registers, and add in one cycle.
  static constexpr size_t kChains = kOneInstruction ? kRegisterChains : 6;
  static HWY_INLINE VI32 Accumulate(VI32 acc, VI32 w, VI32 x) {
#if LUTRA_MATRIX
    return MatrixAccumulate(acc, hn::BitCast(DU8(), w), hn::BitCast(DU8(), x));
#else
    auto sum = DotAccumulate<true>(D(), acc, hn::BitCast(DU8(), w), x);
#if HWY_ARCH_X86 && LUTRA_DOT
    asm volatile("" : "+v"(sum.raw));  // or g++ 12 copies it, twice
#endif
    return sum;
#endif
  }
};

inline constexpr KernelSet kKernels = {
    .tile_tokens = kTileTokens,
    .prepare = Quantize,
#ifdef LUTRA_GEMV_OF
    .gemv = LUTRA_GEMV_OF::Gemv,
#else
    .gemv = Gemv,
#endif
    .gemm = Gemm,
#if LUTRA_TILES
    .peak = RunTiles,
    .prefers_gemm = PrefersGemm,
    .is_small = IsSmall,
    .small = &LUTRA_GEMV_OF::kKernels,
#else
    .peak = RunChains<PeakStep>,
#endif
};

const Int8Variant* GetInt8Variant() {
  static constexpr Int8Variant kVariant = {LUTRA_EXTENSION_NAME,
                                           IsExtensionSupported, &kKernels};
  return &kVariant;
}

}  // namespace lutra::kernels::HWY_NAMESPACE::LUTRA_EXTENSION
LUTRA_AFTER_NAMESPACE();

namespace lutra::kernels {
template <>
struct Int8VariantOf<HWY_TARGET, LUTRA_EXTENSION_INDEX> {
  static constexpr auto value = HWY_NAMESPACE::LUTRA_EXTENSION::GetInt8Variant;
};
}  // namespace lutra::kernels

#endif  // LUTRA_EXTENSION_NAME
#undef LUTRA_EXTENSION
#undef LUTRA_EXTENSION_INDEX
