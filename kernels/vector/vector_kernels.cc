// The operations of vector_ops.h, compiled for each Highway target.

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/vector/vector_kernels.cc"
// Must come before highway.h.
#include "hwy/foreach_target.h"
// Must come before the -inl.h files.
#include "hwy/highway.h"

#include <cstring>

#include "kernels/target/find_target.h"
#include "kernels/target/hwy_compat-inl.h"
#include "kernels/target/kernel_tables.h"
#include "kernels/vector/built_functions.h"

#ifndef LUTRA_KERNELS_VECTOR_KERNELS_OF_
#define LUTRA_KERNELS_VECTOR_KERNELS_OF_
namespace lutra::kernels {
// See find_target.h.
template <int64_t kTarget>
struct VectorKernelsOf {
  static constexpr const VectorKernels* (*value)() = nullptr;
};
}  // namespace lutra::kernels
#endif

#if LUTRA_HAS_BLOCKS
#include "kernels/vector/norm-inl.h"
#include "kernels/vector/window-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE {

struct ReluFunction {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    // NaN and -0 stay.
    return hn::IfThenZeroElse(hn::Lt(x, hn::Zero(d)), x);
  }
};
struct Relu2Function {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    const V positive = ReluFunction()(d, x);
    return hn::Mul(positive, positive);
  }
};
struct GeluTanhFunction {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    return GeluTanh(d, x);
  }
};
struct SigmoidFunction {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    return Sigmoid(d, x);
  }
};
struct SiluFunction {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    return Silu(d, x);
  }
};
struct GeluFunction {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    return Gelu(d, x);
  }
};

template <class F>
void ApplyTo(const float* x, size_t n, float* y) {
  size_t i = 0;
  for (; i + kBlock <= n; i += kBlock) {
    StoreBlock(Map(F(), LoadBlock(x + i)), y + i);
  }
  if (i < n)
    StorePartOfBlock(Map(F(), LoadPartOfBlock(x + i, n - i)), n - i, y + i);
}

template <Function kFunction, class F>
void ApplyBuilt(const float* x, size_t n, float* y) {
  if constexpr (IsBuilt(kFunction)) {
    ApplyTo<F>(x, n, y);
  } else {
    reference::Apply(kFunction, x, n, y);
  }
}

void ApplyFunction(Function function, const float* x, size_t n, float* y) {
  switch (function) {
    case Function::kExp:
      return ApplyBuilt<Function::kExp, ExpFunction>(x, n, y);
    case Function::kRelu:
      return ApplyBuilt<Function::kRelu, ReluFunction>(x, n, y);
    case Function::kSigmoid:
      return ApplyBuilt<Function::kSigmoid, SigmoidFunction>(x, n, y);
    case Function::kTanh:
      return ApplyBuilt<Function::kTanh, TanhFunction>(x, n, y);
    case Function::kSilu:
      return ApplyBuilt<Function::kSilu, SiluFunction>(x, n, y);
    case Function::kGelu:
      return ApplyBuilt<Function::kGelu, GeluFunction>(x, n, y);
    case Function::kGeluTanh:
      return ApplyBuilt<Function::kGeluTanh, GeluTanhFunction>(x, n, y);
    case Function::kRelu2:
      return ApplyBuilt<Function::kRelu2, Relu2Function>(x, n, y);
  }
}

template <typename T>
void ConvertTo32(const void* from, size_t n, float* y) {
  const T* x = static_cast<const T*>(from);
  size_t i = 0;
  for (; i + kBlock <= n; i += kBlock) StoreBlock(LoadAs(x + i), y + i);
  if (i < n) StorePartOfBlock(LoadPartAs(x + i, n - i), n - i, y + i);
}

void ConvertToFloat32(FloatType type, const void* x, size_t n, float* y) {
  switch (type) {
    case FloatType::kFloat32:
      return ConvertTo32<float>(x, n, y);
    case FloatType::kFloat16:
      return ConvertTo32<Float16>(x, n, y);
    case FloatType::kBFloat16:
      return ConvertTo32<BFloat16>(x, n, y);
  }
}

// Float16FromFloat of half.h, in vectors: by integers, because targets
// without the instruction emulate it in other ways.
HWY_INLINE void StoreHalves(const float* x, uint16_t* y) {
  const hn::RebindToUnsigned<DBlock> du;
  const hn::Rebind<uint16_t, DBlock> d16;
  const auto set = [&](uint32_t value) HWY_ATTR { return hn::Set(du, value); };
  for (size_t i = 0; i < kBlock; i += kLanes) {
    const auto bits = hn::BitCast(du, hn::LoadU(DBlock(), x + i));
    const auto sign = hn::And(hn::ShiftRight<16>(bits), set(0x8000));
    const auto magnitude = hn::And(bits, set(0x7FFFFFFF));
    const auto rebiased = hn::Sub(magnitude, set((127 - 15) << 23));
    const auto odd = hn::And(hn::ShiftRight<13>(rebiased), set(1));
    const auto normal =
        hn::ShiftRight<13>(hn::Add(hn::Add(rebiased, set(0xFFF)), odd));
    const VBlock half = hn::Set(DBlock(), 0.5f);
    const auto small = hn::Sub(
        hn::BitCast(du, hn::Add(hn::BitCast(DBlock(), magnitude), half)),
        hn::BitCast(du, half));
    const auto large = hn::IfThenElse(hn::Gt(magnitude, set(0x7F800000)),
                                      set(0x7E00), set(0x7C00));
    const auto finite =
        hn::IfThenElse(hn::Gt(set(0x38800000), magnitude), small, normal);
    const auto result =
        hn::IfThenElse(hn::Gt(set(0x477FF000), magnitude), finite, large);
    hn::StoreU(hn::DemoteTo(d16, hn::BitCast(hn::RebindToSigned<DBlock>(),
                                             hn::Or(result, sign))),
               d16, y + i);
  }
}

void ConvertToFloat16(const float* x, size_t n, uint16_t* y) {
  size_t i = 0;
  for (; i + kBlock <= n; i += kBlock) StoreHalves(x + i, y + i);
  if (i == n) return;
  float rest[kBlock] = {};
  uint16_t halves[kBlock];
  std::memcpy(rest, x + i, (n - i) * sizeof(float));
  StoreHalves(rest, halves);
  std::memcpy(y + i, halves, (n - i) * sizeof(uint16_t));
}

const VectorKernels* Kernels() {
  static constexpr VectorKernels kKernels = {
      ApplyFunction,
      ConvertToFloat32,
      kHasToFloat16 ? ConvertToFloat16 : reference::ToFloat16,
      SoftmaxRow,
      kHasRmsNorm ? RmsNormRow : reference::RmsNormRow,
      kHasLayerNorm ? LayerNormRow : reference::LayerNormRow,
      kHasWindow ? SumWindow : reference::SumWindow};
  return &kKernels;
}

}  // namespace lutra::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

namespace lutra::kernels {
template <>
struct VectorKernelsOf<HWY_TARGET> {
  static constexpr auto value = HWY_NAMESPACE::Kernels;
};
}  // namespace lutra::kernels
#endif  // LUTRA_HAS_BLOCKS

#if HWY_ONCE
namespace lutra::kernels {

const VectorKernels* FindVectorKernels(int64_t target) noexcept {
  static constexpr VectorKernels kReference = {
      reference::Apply,      reference::ToFloat32,  reference::ToFloat16,
      reference::SoftmaxRow, reference::RmsNormRow, reference::LayerNormRow,
      reference::SumWindow};
  const auto kernels = FindTargetOrWorse<VectorKernelsOf>(target);
  return kernels == nullptr ? &kReference : kernels();
}

}  // namespace lutra::kernels
#endif  // HWY_ONCE
