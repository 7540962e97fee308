// The kernels for float activations, compiled once for each Highway target.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/lut/float_kernels.cc"
// Must come before highway.h.
#include "hwy/foreach_target.h"
// Must come before the -inl.h files.
#include "hwy/highway.h"

#include "kernels/lut/gemm_job.h"
#include "kernels/target/hwy_compat-inl.h"

#ifndef LUTRA_KERNELS_FLOAT_KERNELS_OF_
#define LUTRA_KERNELS_FLOAT_KERNELS_OF_
namespace lutra::kernels {
template <int64_t kTarget>
inline constexpr const KernelSet* (*kFloatKernelsOf)() = nullptr;
}  // namespace lutra::kernels
#endif

#if !LUTRA_USE_REFERENCE
#include "kernels/lut/float_gemm-inl.h"

#undef LUTRA_EXTENSION
#undef LUTRA_BEFORE_NAMESPACE
#undef LUTRA_AFTER_NAMESPACE
#define LUTRA_EXTENSION kFloat
#define LUTRA_BEFORE_NAMESPACE() HWY_BEFORE_NAMESPACE()
#define LUTRA_AFTER_NAMESPACE() HWY_AFTER_NAMESPACE()
#include "kernels/lut/gemv-inl.h"
#include "kernels/lut/peak-inl.h"
// Uses the files above.
#include "kernels/lut/float_gemv-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE {

struct MultiplyAddStep {
  using D = DF32;
  static constexpr size_t kChains = 10;
  static constexpr size_t kOperations = 2;
  static HWY_INLINE VF32 Accumulate(VF32 acc, VF32 w, VF32 x) {
    return hn::MulAdd(w, x, acc);
  }
};

const KernelSet* FloatKernels() {
  static constexpr KernelSet kSet = {kTileTokens, Arrange, FloatGemv, FloatGemm,
                                     RunChains<MultiplyAddStep>};
  return &kSet;
}

}  // namespace lutra::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

namespace lutra::kernels {
template <>
inline constexpr const KernelSet* (*kFloatKernelsOf<HWY_TARGET>)() =
    HWY_NAMESPACE::FloatKernels;
}  // namespace lutra::kernels
#endif  // !LUTRA_USE_REFERENCE

#if HWY_ONCE
namespace lutra::kernels {
namespace {

template <int kBit = 0>
const KernelSet* Find(int64_t target) {
  if constexpr (kBit < 63) {
    if (target != int64_t{1} << kBit) return Find<kBit + 1>(target);
    constexpr auto kernels = kFloatKernelsOf<int64_t{1} << kBit>;
    if constexpr (kernels != nullptr) return kernels();
  }
  return nullptr;
}

}  // namespace

const KernelSet* FindFloatKernels(int64_t target) noexcept {
  return Find(target);
}

}  // namespace lutra::kernels
#endif  // HWY_ONCE
