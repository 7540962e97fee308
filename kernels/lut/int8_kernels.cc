// The kernels for int8 activations, compiled for each Highway target, and again
// for each extension of it that dot-inl.h lists.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/lut/int8_kernels.cc"
// Must come before highway.h.
#include "hwy/foreach_target.h"
// Must come before the -inl.h files.
#include "hwy/highway.h"

#include "kernels/lut/gemm_job.h"
#include "kernels/target/hwy_compat-inl.h"

#ifndef LUTRA_KERNELS_INT8_VARIANT_OF_
#define LUTRA_KERNELS_INT8_VARIANT_OF_
namespace lutra::kernels {
// Every pass specialises this, so that no list of targets is needed.
template <int64_t kTarget, size_t kExtension>
inline constexpr const Int8Variant* (*kInt8VariantOf)() = nullptr;
}  // namespace lutra::kernels
#endif

#if !LUTRA_USE_REFERENCE

#define LUTRA_EXTENSION_INDEX 0
#define LUTRA_EXTENSION kExtension0
#include "kernels/lut/int8_variant-inl.h"

#define LUTRA_EXTENSION_INDEX 1
#define LUTRA_EXTENSION kExtension1
#include "kernels/lut/int8_variant-inl.h"

#define LUTRA_EXTENSION_INDEX 2
#define LUTRA_EXTENSION kExtension2
#include "kernels/lut/int8_variant-inl.h"

#endif  // !LUTRA_USE_REFERENCE

#if HWY_ONCE
namespace lutra::kernels {
namespace {

template <int kBit, size_t kExtension = 0>
const Int8Variant* FindExtension(size_t extension) {
  if constexpr (kExtension < kExtensions) {
    if (extension != kExtension) {
      return FindExtension<kBit, kExtension + 1>(extension);
    }
    constexpr auto variant = kInt8VariantOf<int64_t{1} << kBit, kExtension>;
    if constexpr (variant != nullptr) return variant();
  }
  return nullptr;
}

template <int kBit = 0>
const Int8Variant* Find(int64_t target, size_t extension) {
  if constexpr (kBit < 63) {
    if (target != int64_t{1} << kBit) {
      return Find<kBit + 1>(target, extension);
    }
    return FindExtension<kBit>(extension);
  }
  return nullptr;
}

}  // namespace

const Int8Variant* FindInt8Variant(int64_t target, size_t extension) noexcept {
  return Find(target, extension);
}

int64_t CompiledTargets() noexcept { return HWY_TARGETS; }

}  // namespace lutra::kernels
#endif  // HWY_ONCE
