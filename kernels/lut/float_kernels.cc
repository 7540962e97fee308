// The kernels for float activations, compiled once for each Highway target.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/lut/float_kernels.cc"
// Must come before highway.h.
#include "hwy/foreach_target.h"
// Must come before the -inl.h files.
#include "hwy/highway.h"

#include "kernels/lut/gemm_job.h"
#include "kernels/target/find_target.h"
#include "kernels/target/hwy_compat-inl.h"

#ifndef LUTRA_KERNELS_FLOAT_KERNELS_OF_
#define LUTRA_KERNELS_FLOAT_KERNELS_OF_
namespace lutra::kernels {
// See find_target.h.
template <int64_t kTarget>
struct FloatKernelsOf {
  static constexpr const KernelSet* (*value)() = nullptr;
};
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
  static constexpr bool kOneInstruction = LUTRA_FUSED;
  static constexpr size_t kChains =
      kOneInstruction ? kFloat::kRegisterChains : 10;
  static constexpr size_t kOperations = 2;
  static HWY_INLINE VF32 Accumulate(VF32 acc, VF32 w, VF32 x) {
    return hn::MulAdd(w, x, acc);
  }
};

const KernelSet* FloatKernels() {
  static constexpr KernelSet kSet = {kTileTokens, Arrange, FloatGemv, FloatGemm,
                                     kFloat::RunChains<MultiplyAddStep>};
  return &kSet;
}

}  // namespace lutra::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

namespace lutra::kernels {
template <>
struct FloatKernelsOf<HWY_TARGET> {
  static constexpr auto value = HWY_NAMESPACE::FloatKernels;
};
}  // namespace lutra::kernels
#endif  // !LUTRA_USE_REFERENCE

#if HWY_ONCE
namespace lutra::kernels {

const KernelSet* FindFloatKernels(int64_t target) noexcept {
  const auto kernels = FindTargetOrWorse<FloatKernelsOf>(target);
  return kernels == nullptr ? nullptr : kernels();
}

}  // namespace lutra::kernels
#endif  // HWY_ONCE
