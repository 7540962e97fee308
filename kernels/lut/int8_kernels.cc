// The kernels for int8 activations, compiled for each Highway target, and again
// for each extension of it that dot-inl.h lists.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/lut/int8_kernels.cc"
// Must come before highway.h.
#include "hwy/foreach_target.h"
// Must come before the -inl.h files.
#include "hwy/highway.h"

#include "kernels/lut/gemm_job.h"
#include "kernels/target/find_target.h"
#include "kernels/target/hwy_compat-inl.h"

#ifndef LUTRA_KERNELS_INT8_VARIANT_OF_
#define LUTRA_KERNELS_INT8_VARIANT_OF_
namespace lutra::kernels {
// See find_target.h.
template <int64_t kTarget, size_t kExtension>
struct Int8VariantOf {
  static constexpr const Int8Variant* (*value)() = nullptr;
};
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

template <size_t kExtension>
struct Extension {
  template <int64_t kTarget>
  using Of = Int8VariantOf<kTarget, kExtension>;
};

}  // namespace

const Int8Variant* FindInt8Variant(int64_t target, size_t extension) noexcept {
  static_assert(kExtensions == 3);
  const auto variant = extension == 0   ? FindTarget<Extension<0>::Of>(target)
                       : extension == 1 ? FindTarget<Extension<1>::Of>(target)
                                        : FindTarget<Extension<2>::Of>(target);
  return variant == nullptr ? nullptr : variant();
}

int64_t CompiledTargets() noexcept { return HWY_TARGETS; }

}  // namespace lutra::kernels
#endif  // HWY_ONCE
