// The int8 kernels of one variant: the Highway target of this pass and a
// dot-product extension of it. Included once for each, with
//   LUTRA_EXTENSION             the namespace, and the enumerator of Extension
//   LUTRA_EXTENSION_ATTRIBUTES  what the compiler must add to the target
//   LUTRA_HAS_DOT               1 if dot-inl.h may use the four-way product
//
// Functions here and in the files below have no HWY_ATTR: on clang it would
// override the attributes pushed for the extension.

#include "hwy/highway.h"
#include "kernels/decode-inl.h"
#include "kernels/finish-inl.h"
#include "kernels/gemm_job.h"
#include "kernels/hwy_compat-inl.h"
#include "kernels/panel-inl.h"

#undef LUTRA_BEFORE_NAMESPACE
#ifdef LUTRA_EXTENSION_ATTRIBUTES
#define LUTRA_BEFORE_NAMESPACE()                                 \
  HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR LUTRA_EXTENSION_ATTRIBUTES) \
  static_assert(true, "")
#else
#define LUTRA_BEFORE_NAMESPACE() HWY_BEFORE_NAMESPACE()
#endif

// These use each other in this order.
// clang-format off
#include "kernels/dot-inl.h"
#include "kernels/quantize-inl.h"
#include "kernels/gemv-inl.h"
#include "kernels/int8_gemv-inl.h"
#include "kernels/int8_gemm-inl.h"
// clang-format on

LUTRA_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE::LUTRA_EXTENSION {

const KernelSet* Int8Kernels() {
  static constexpr KernelSet kSet = {kTileTokens, Quantize, Gemv, Gemm};
  return &kSet;
}

}  // namespace lutra::kernels::HWY_NAMESPACE::LUTRA_EXTENSION
HWY_AFTER_NAMESPACE();

namespace lutra::kernels {
template <>
inline constexpr const KernelSet* (
    *kInt8KernelsOf<HWY_TARGET, Extension::LUTRA_EXTENSION>)() =
    HWY_NAMESPACE::LUTRA_EXTENSION::Int8Kernels;
}  // namespace lutra::kernels

#undef LUTRA_EXTENSION
#undef LUTRA_EXTENSION_ATTRIBUTES
#undef LUTRA_HAS_DOT
