// Scales and offsets of groups, as they count in products.

#if defined(LUTRA_KERNELS_LUT_SCALES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LUTRA_KERNELS_LUT_SCALES_INL_H_
#undef LUTRA_KERNELS_LUT_SCALES_INL_H_
#else
#define LUTRA_KERNELS_LUT_SCALES_INL_H_
#endif

#include "hwy/highway.h"
#include "kernels/lut/gemm_job.h"
#include "kernels/target/hwy_compat-inl.h"
#include "kernels/target/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// NormalOrZero of format/scale_types.h.
HWY_INLINE VF32 NormalOrZero(VF32 v) {
  const DI32 d;
  const VI32 exponent = hn::And(hn::BitCast(d, v), hn::Set(d, 0x7F800000));
  const auto normal = hn::Gt(exponent, hn::Zero(d));
  return hn::IfThenElseZero(hn::RebindMask(DF32(), normal), v);
}

// Numbers of a floating-point type of the rows of a strip that starts at row
// `row`.
HWY_INLINE VF32 LoadFloats(ScaleType type, const uint8_t* HWY_RESTRICT numbers,
                           size_t row) {
  const DF32 d;
  if (type == ScaleType::kFloat32) {
    return NormalOrZero(
        hn::LoadU(d, reinterpret_cast<const float*>(numbers) + row));
  }
  if (type == ScaleType::kBFloat16) {
    const hn::Rebind<uint16_t, DF32> d16;
    const hn::Repartition<uint32_t, DF32> d32;
    const auto high =
        hn::LoadU(d16, reinterpret_cast<const uint16_t*>(numbers) + row);
    return NormalOrZero(
        hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(d32, high))));
  }
  // Every float16 is 0 or normal as a float32.
  const hn::Rebind<hwy::float16_t, DF32> d16;
  return hn::PromoteTo(
      d,
      hn::LoadU(d16, reinterpret_cast<const hwy::float16_t*>(numbers) + row));
}

// FloatFromE4M3 of format/scale_types.h.
HWY_INLINE VF32 FromE4M3(VI32 stored) {
  const DF32 d;
  const DI32 d32;
  const VI32 bits = hn::ShiftLeft<20>(hn::And(stored, hn::Set(d32, 0x7F)));
  const VF32 large = hn::BitCast(d, hn::Add(bits, hn::Set(d32, 120 << 23)));
  const VF32 small = hn::Mul(hn::ConvertTo(d, hn::And(stored, hn::Set(d32, 7))),
                             hn::Set(d, 0x1p-9f));
  const VI32 exponent = hn::And(stored, hn::Set(d32, 0x78));
  const auto is_small = hn::RebindMask(d, hn::Eq(exponent, hn::Zero(d32)));
  const VI32 sign = hn::ShiftLeft<24>(hn::And(stored, hn::Set(d32, 0x80)));
  return hn::Or(hn::IfThenElse(is_small, small, large), hn::BitCast(d, sign));
}

// A group's numbers of type kType, one of format version 2.
template <ScaleType kType, class D = DI32>
HWY_INLINE VF32 LoadCodes(const uint8_t* HWY_RESTRICT numbers, size_t row) {
  const D d32;
  const DF32 d;
  const hn::Rebind<uint8_t, D> d8;
  if constexpr (kType == ScaleType::kInt8) {
    const hn::Rebind<int8_t, D> signed_d8;
    const auto* from = reinterpret_cast<const int8_t*>(numbers) + row;
    return hn::ConvertTo(d, hn::PromoteTo(d32, hn::LoadU(signed_d8, from)));
  } else if constexpr (kType == ScaleType::kUint4) {
    // Rows 0 to 7 are in the low halves of eight bytes.
    constexpr size_t kHalf = kBlockRows / 2;
    const VI32 low = hn::Set(d32, 15);
    if constexpr (hn::MaxLanes(D()) > kHalf) {
      if (hn::Lanes(d32) > kHalf) {
        const hn::Half<D> half;
        const hn::Rebind<uint8_t, hn::Half<D>> half_d8;
        const auto bytes = hn::PromoteTo(half, hn::LoadU(half_d8, numbers));
        return hn::ConvertTo(
            d, hn::And(hn::Combine(d32, hn::ShiftRight<4>(bytes), bytes), low));
      }
    }
    const VI32 bytes = hn::PromoteTo(d32, hn::LoadU(d8, numbers + row % kHalf));
    return hn::ConvertTo(
        d, hn::And(row < kHalf ? bytes : hn::ShiftRight<4>(bytes), low));
  } else {
    const VI32 stored = hn::PromoteTo(d32, hn::LoadU(d8, numbers + row));
    if constexpr (kType == ScaleType::kE4M3) {
      return FromE4M3(stored);
    } else {
      // The smallest power of two is subnormal, and counts as 0.
      static_assert(kType == ScaleType::kE8M0);
      return hn::BitCast(d, hn::ShiftLeft<23>(stored));
    }
  }
}

// Numbers of any type, times the super scale of their span.
HWY_INLINE VF32 LoadTimesSuper(ScaleType type,
                               const uint8_t* HWY_RESTRICT numbers, size_t row,
                               VF32 super) {
  // A product with an integer that is not 0 is not smaller than the super
  // scale.
  if (HWY_LIKELY(type == ScaleType::kInt8)) {
    return hn::Mul(LoadCodes<ScaleType::kInt8>(numbers, row), super);
  }
  if (type == ScaleType::kUint4) {
    return hn::Mul(LoadCodes<ScaleType::kUint4>(numbers, row), super);
  }
  const VF32 first =
      type == ScaleType::kE4M3   ? LoadCodes<ScaleType::kE4M3>(numbers, row)
      : type == ScaleType::kE8M0 ? LoadCodes<ScaleType::kE8M0>(numbers, row)
                                 : LoadFloats(type, numbers, row);
  return NormalOrZero(hn::Mul(first, super));
}

// The scales, or offsets, of a strip of a row block, group after group.
class StripNumbers {
 public:
  HWY_INLINE StripNumbers(const GemmJob& job, GroupNumbers numbers,
                          const uint8_t* row_block, size_t row)
      : layout_(job.w->geometry),
        numbers_(numbers),
        super_type_(job.w->format.super_type),
        is_plain_(numbers.type <= ScaleType::kFloat16 &&
                  layout_.super_stride == 0),
        supers_(layout_.super_stride == 0
                    ? nullptr
                    : row_block + layout_.supers + numbers.super_at),
        in_span_((size_t{1} << layout_.super_shift) - 1),
        row_(row) {
    hn::Store(hn::Set(DF32(), 1.0f), DF32(), super_);
  }

  // To go on with `group`, of a span that may have begun before it.
  HWY_INLINE void Start(size_t group) {
    if (supers_ == nullptr) return;
    const size_t span = group >> layout_.super_shift;
    hn::Store(
        LoadFloats(super_type_, supers_ + span * layout_.super_stride, row_),
        DF32(), super_);
  }

  // Of `group`, which starts at `from` and follows the one before.
  HWY_INLINE VF32 Load(size_t group, const uint8_t* from) {
    if (HWY_LIKELY(is_plain_)) {
      return LoadFloats(numbers_.type, from + numbers_.at, row_);
    }
    if ((group & in_span_) == 0) Start(group);
    return LoadTimesSuper(numbers_.type, from + numbers_.at, row_,
                          hn::Load(DF32(), super_));
  }

 private:
  const LutGeometry& layout_;
  const GroupNumbers numbers_;
  const ScaleType super_type_;
  const bool is_plain_;
  const uint8_t* const supers_;
  const size_t in_span_;  // bits of a group's number
  const size_t row_;
  // No vector: those without a fixed size cannot be members.
  alignas(64) float super_[kBlockRows];
};

// Whether groups give no more than their dot products times scales, of which
// those of the weights are floats as they are.
HWY_INLINE bool HasPlainScales(const GemmJob& job) {
  return job.w->format.scale_type <= ScaleType::kFloat16 &&
         job.w->geometry.super_stride == 0 && job.group_sums == nullptr;
}

}  // namespace lutra::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
