// The kernels for int8 activations, compiled for each Highway target, and again
// where a CPU may have a dot product that the target does not imply.
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
// Every pass specialises this, so that no list of targets is needed.
template <int64_t kTarget, Extension kExtension>
inline constexpr const KernelSet* (*kInt8KernelsOf)() = nullptr;
}  // namespace lutra::kernels
#endif

#if !LUTRA_USE_REFERENCE

#define LUTRA_EXTENSION kNone
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3_DL
// Highway 1.0.3 leaves the instruction out of the attributes of AVX3_DL.
#define LUTRA_EXTENSION_ATTRIBUTES ",avx512vnni"
#define LUTRA_HAS_DOT 1
#else
#define LUTRA_HAS_DOT 0
#endif
#include "kernels/int8_variant-inl.h"

#if HWY_ARCH_X86 && (HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2)
#define LUTRA_EXTENSION kDotProduct
#if HWY_TARGET == HWY_AVX3  // Cascade Lake
#define LUTRA_EXTENSION_ATTRIBUTES ",avx512vnni"
#else  // Alder Lake and later
#define LUTRA_EXTENSION_ATTRIBUTES ",avxvnni"
#endif
#define LUTRA_HAS_DOT 1
#include "kernels/int8_variant-inl.h"
#endif

#endif  // !LUTRA_USE_REFERENCE

#if HWY_ONCE
namespace lutra::kernels {
namespace {

template <Extension kExtension, int kBit = 0>
const KernelSet* Find(int64_t target) {
  if constexpr (kBit < 63) {
    if (target != int64_t{1} << kBit) {
      return Find<kExtension, kBit + 1>(target);
    }
    constexpr auto kernels = kInt8KernelsOf<int64_t{1} << kBit, kExtension>;
    if constexpr (kernels != nullptr) return kernels();
  }
  return nullptr;
}

}  // namespace

const KernelSet* FindKernels(int64_t target, Extension extension) noexcept {
  return extension == Extension::kNone ? Find<Extension::kNone>(target)
                                       : Find<Extension::kDotProduct>(target);
}

int64_t CompiledTargets() noexcept { return HWY_TARGETS; }

}  // namespace lutra::kernels
#endif  // HWY_ONCE
