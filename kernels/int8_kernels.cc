// The kernels for int8 activations, compiled once for each Highway target.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/int8_kernels.cc"
// Must come before highway.h.
#include "hwy/foreach_target.h"
// Must come before the -inl.h files.
#include "hwy/highway.h"

#include "kernels/gemm_job.h"
#include "kernels/hwy_compat-inl.h"

#ifndef LUTRA_KERNELS_INT8_KERNELS_OF_
#define LUTRA_KERNELS_INT8_KERNELS_OF_
namespace lutra::kernels {
// Every target's pass specialises this, so that no list of targets is needed.
template <int64_t kTarget>
inline constexpr const KernelSet* (*kInt8KernelsOf)() = nullptr;
}  // namespace lutra::kernels
#endif

#if !LUTRA_USE_REFERENCE
#include "kernels/int8_gemm-inl.h"
#include "kernels/int8_gemv-inl.h"
#include "kernels/quantize-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE {

const KernelSet* Int8Kernels() {
  static constexpr KernelSet kSet = {kTileTokens, Quantize, Gemv, Gemm};
  return &kSet;
}

}  // namespace lutra::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

namespace lutra::kernels {
template <>
inline constexpr const KernelSet* (*kInt8KernelsOf<HWY_TARGET>)() =
    HWY_NAMESPACE::Int8Kernels;
}  // namespace lutra::kernels
#endif  // !LUTRA_USE_REFERENCE

#if HWY_ONCE
namespace lutra::kernels {
namespace {

template <int kBit = 0>
const KernelSet* Find(int64_t target) {
  if constexpr (kBit < 63) {
    if (target != int64_t{1} << kBit) return Find<kBit + 1>(target);
    constexpr auto kernels = kInt8KernelsOf<int64_t{1} << kBit>;
    if constexpr (kernels != nullptr) return kernels();
  }
  return nullptr;
}

}  // namespace

const KernelSet* FindKernels(int64_t target) noexcept { return Find(target); }

int64_t CompiledTargets() noexcept { return HWY_TARGETS; }

}  // namespace lutra::kernels
#endif  // HWY_ONCE
