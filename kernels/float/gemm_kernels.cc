// The kernels of FloatGemm, compiled for each Highway target.

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/float/gemm_kernels.cc"
// Must come before highway.h.
#include "hwy/foreach_target.h"
// Must come before the -inl.h files.
#include "hwy/highway.h"

#include "kernels/float/gemm_job.h"
#include "kernels/target/find_target.h"
#include "kernels/target/hwy_compat-inl.h"
#include "kernels/target/kernel_tables.h"

#ifndef LUTRA_KERNELS_FLOAT_GEMM_KERNELS_OF_
#define LUTRA_KERNELS_FLOAT_GEMM_KERNELS_OF_
namespace lutra::kernels {
// See find_target.h.
template <int64_t kTarget>
struct FloatGemmKernelsOf {
  static constexpr const FloatGemmKernels* value = nullptr;
};
}  // namespace lutra::kernels
#endif

#if LUTRA_HAS_BLOCKS
#include "kernels/float/dot-inl.h"
#include "kernels/float/pack-inl.h"
#include "kernels/float/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE {

// function(value of the element's type).
template <class Function>
void WithType([[maybe_unused]] FloatType type, const Function& function) {
  if constexpr (kHasHalfFloats) {
    if (type == FloatType::kFloat16) return function(Float16());
    if (type == FloatType::kBFloat16) return function(BFloat16());
  }
  function(float());
}

void PackRowsOfType(const FloatGemmJob& job, size_t first, size_t count) {
  WithType(job.arguments.a.type, [&](auto element) {
    PackPart<decltype(element)>(job, first, count);
  });
}
void Multiply(const FloatGemmJob& job, size_t n, size_t count, size_t first,
              size_t tiles) {
  WithType(job.arguments.b.type, [&](auto element) {
    MultiplyPart<decltype(element)>(job, n, count, first, tiles);
  });
}
void DotOfType(const FloatGemmArguments& arguments, size_t n, size_t count) {
  WithType(arguments.b.type, [&](auto element) {
    Dot<decltype(element)>(arguments, n, n + count);
  });
}

inline constexpr FloatGemmKernels kFloatGemmKernels = {
    kTileRows,      kTileColumns, LUTRA_FUSED != 0,
    PackRowsOfType, Multiply,     DotOfType};

}  // namespace lutra::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

namespace lutra::kernels {
template <>
struct FloatGemmKernelsOf<HWY_TARGET> {
  static constexpr const FloatGemmKernels* value =
      &HWY_NAMESPACE::kFloatGemmKernels;
};
}  // namespace lutra::kernels
#endif  // LUTRA_HAS_BLOCKS

#if HWY_ONCE
namespace lutra::kernels {

const FloatGemmKernels* FindFloatGemmKernels(int64_t target) noexcept {
  return FindTargetOrWorse<FloatGemmKernelsOf>(target);
}

}  // namespace lutra::kernels
#endif  // HWY_ONCE
