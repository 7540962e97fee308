// Sixteen floats as one value: a vector of 16 lanes, or two halves of that. A
// sum in 16 lanes is so written once, and its bits do not depend on the length
// of the vectors.

#if defined(LUTRA_KERNELS_VECTOR_BLOCK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LUTRA_KERNELS_VECTOR_BLOCK_INL_H_
#undef LUTRA_KERNELS_VECTOR_BLOCK_INL_H_
#else
#define LUTRA_KERNELS_VECTOR_BLOCK_INL_H_
#endif

#include <cstddef>
#include <cstring>
#include <limits>

#include "hwy/highway.h"
#include "lutra/kernels/vector_ops.h"

HWY_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

inline constexpr size_t kBlock = 16;

using DBlock = hn::CappedTag<float, kBlock>;
using VBlock = hn::Vec<DBlock>;
inline constexpr size_t kLanes = hn::MaxLanes(DBlock());

// Constructors are written out because g++ gives implicit ones no HWY_ATTR, and
// Highway's vectors have one on Arm.
template <size_t kVectors>
struct BlockOf {
  using Half = BlockOf<kVectors / 2>;
  HWY_ATTR BlockOf() {}
  HWY_ATTR BlockOf(const Half& first, const Half& second)
      : low(first), high(second) {}
  Half low, high;
};
template <>
struct BlockOf<1> {
  HWY_ATTR BlockOf() {}
  HWY_ATTR BlockOf(VBlock vector) : v(vector) {}
  VBlock v;
};
using Block = BlockOf<kBlock / kLanes>;

#define LUTRA_BLOCK_BINARY(Name)                                  \
  template <size_t kVectors>                                      \
  HWY_INLINE BlockOf<kVectors> Name(const BlockOf<kVectors>& a,   \
                                    const BlockOf<kVectors>& b) { \
    if constexpr (kVectors == 1) {                                \
      return {hn::Name(a.v, b.v)};                                \
    } else {                                                      \
      return {Name(a.low, b.low), Name(a.high, b.high)};          \
    }                                                             \
  }
LUTRA_BLOCK_BINARY(Add)
LUTRA_BLOCK_BINARY(Sub)
LUTRA_BLOCK_BINARY(Mul)
LUTRA_BLOCK_BINARY(Max)
#undef LUTRA_BLOCK_BINARY

// function(DBlock(), v) of each vector.
template <class Function, size_t kVectors>
HWY_INLINE BlockOf<kVectors> Map(Function function,
                                 const BlockOf<kVectors>& a) {
  if constexpr (kVectors == 1) {
    return {function(DBlock(), a.v)};
  } else {
    return {Map(function, a.low), Map(function, a.high)};
  }
}

template <size_t kVectors = kBlock / kLanes>
HWY_INLINE BlockOf<kVectors> SetBlock(float value) {
  if constexpr (kVectors == 1) {
    return {hn::Set(DBlock(), value)};
  } else {
    return {SetBlock<kVectors / 2>(value), SetBlock<kVectors / 2>(value)};
  }
}

template <size_t kVectors = kBlock / kLanes>
HWY_INLINE BlockOf<kVectors> LoadBlock(const float* x) {
  if constexpr (kVectors == 1) {
    return {hn::LoadU(DBlock(), x)};
  } else {
    return {LoadBlock<kVectors / 2>(x),
            LoadBlock<kVectors / 2>(x + kVectors / 2 * kLanes)};
  }
}

template <size_t kVectors>
HWY_INLINE void StoreBlock(const BlockOf<kVectors>& block, float* y) {
  if constexpr (kVectors == 1) {
    hn::StoreU(block.v, DBlock(), y);
  } else {
    StoreBlock(block.low, y);
    StoreBlock(block.high, y + kVectors / 2 * kLanes);
  }
}

// Bits as they are, to select by.
HWY_INLINE Block LoadBits(const uint32_t* bits) {
  return LoadBlock(reinterpret_cast<const float*>(bits));
}

// a where the bits of `mask` are ones, b where they are zeros.
template <size_t kVectors>
HWY_INLINE BlockOf<kVectors> Select(const BlockOf<kVectors>& mask,
                                    const BlockOf<kVectors>& a,
                                    const BlockOf<kVectors>& b) {
  if constexpr (kVectors == 1) {
    return {hn::IfVecThenElse(mask.v, a.v, b.v)};
  } else {
    return {Select(mask.low, a.low, b.low), Select(mask.high, a.high, b.high)};
  }
}

// The first `count` < 16 floats, then zeros.
HWY_INLINE Block LoadPartOfBlock(const float* x, size_t count) {
  float padded[kBlock] = {};
  std::memcpy(padded, x, count * sizeof(float));
  return LoadBlock(padded);
}

HWY_INLINE void StorePartOfBlock(const Block& block, size_t count, float* y) {
  float padded[kBlock];
  StoreBlock(block, padded);
  std::memcpy(y, padded, count * sizeof(float));
}

// Elements as they are stored.
struct Float16 {
  uint16_t bits;
};
struct BFloat16 {
  uint16_t bits;
};

// Bits of stored elements as floats.
template <class D>
HWY_INLINE hn::Vec<D> ToFloats(D d, Float16,
                               hn::Vec<hn::Rebind<uint16_t, D>> bits) {
  const hn::Rebind<hwy::float16_t, D> d16;
  const hn::Vec<D> v = hn::PromoteTo(d, hn::BitCast(d16, bits));
#if (HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2) || \
    (HWY_ARCH_ARM && HWY_TARGET <= HWY_NEON)
  return v;
#else
  // Where the CPU has no conversion, Highway 1.0 takes infinities and NaNs for
  // numbers from 65536 on.
  const hn::Vec<D> infinity =
      hn::Set(d, std::numeric_limits<float>::infinity());
  return hn::IfThenElse(hn::Lt(hn::Abs(v), hn::Set(d, 65536.0f)), v,
                        hn::Or(v, infinity));
#endif
}
template <class D>
HWY_INLINE hn::Vec<D> ToFloats(D d, BFloat16,
                               hn::Vec<hn::Rebind<uint16_t, D>> bits) {
  const hn::RebindToUnsigned<D> du32;
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(du32, bits)));
}

// Lanes(d) stored elements as floats.
template <class D>
HWY_INLINE hn::Vec<D> LoadFloats(D d, const float* x) {
  return hn::LoadU(d, x);
}
template <class D, typename T>
HWY_INLINE hn::Vec<D> LoadFloats(D d, const T* x) {
  const hn::Rebind<uint16_t, D> du16;
  return ToFloats(d, T(),
                  hn::LoadU(du16, reinterpret_cast<const uint16_t*>(x)));
}

template <typename T>
HWY_INLINE VBlock LoadVector(const T* x) {
  return LoadFloats(DBlock(), x);
}
HWY_INLINE VBlock LoadVector(const int8_t* x) {
  const hn::Rebind<int8_t, DBlock> d8;
  const hn::RebindToSigned<DBlock> d32;
  return hn::ConvertTo(DBlock(), hn::PromoteTo(d32, hn::LoadU(d8, x)));
}

// Sixteen stored elements as floats.
template <size_t kVectors = kBlock / kLanes, typename T>
HWY_INLINE BlockOf<kVectors> LoadAs(const T* x) {
  if constexpr (kVectors == 1) {
    return {LoadVector(x)};
  } else {
    return {LoadAs<kVectors / 2>(x),
            LoadAs<kVectors / 2>(x + kVectors / 2 * kLanes)};
  }
}

template <typename T>
HWY_INLINE Block LoadPartAs(const T* x, size_t count) {
  T padded[kBlock] = {};
  std::memcpy(padded, x, count * sizeof(T));
  return LoadAs(padded);
}

struct Addition {
  template <size_t kVectors>
  static HWY_INLINE BlockOf<kVectors> Blocks(const BlockOf<kVectors>& a,
                                             const BlockOf<kVectors>& b) {
    return Add(a, b);
  }
  template <class V>
  static HWY_INLINE V Vectors(V a, V b) {
    return hn::Add(a, b);
  }
  static HWY_INLINE float Floats(float a, float b) { return a + b; }
};

struct Maximum {
  template <size_t kVectors>
  static HWY_INLINE BlockOf<kVectors> Blocks(const BlockOf<kVectors>& a,
                                             const BlockOf<kVectors>& b) {
    return Max(a, b);
  }
  template <class V>
  static HWY_INLINE V Vectors(V a, V b) {
    return hn::Max(a, b);
  }
  static HWY_INLINE float Floats(float a, float b) { return a < b ? b : a; }
};

#if HWY_TARGET != HWY_SCALAR
// Combines the lanes i and i + n/2 of n lanes, down to four lanes.
template <class Operation, class D, class V>
HWY_INLINE auto FoldVector(D, V v) {
  if constexpr (hn::MaxLanes(D()) > 4) {
    const hn::Half<D> half;
    return FoldVector<Operation>(
        half,
        Operation::Vectors(hn::LowerHalf(half, v), hn::UpperHalf(half, v)));
  } else {
    return v;
  }
}
template <class Operation, size_t kVectors>
HWY_INLINE auto FoldToFour(const BlockOf<kVectors>& block) {
  if constexpr (kVectors > 1) {
    return FoldToFour<Operation>(Operation::Blocks(block.low, block.high));
  } else {
    return FoldVector<Operation>(DBlock(), block.v);
  }
}
#endif

// Combines all lanes: i and i + 8, then 4, 2 and 1 apart.
template <class Operation>
HWY_INLINE float Reduce(const Block& block) {
  float lanes[kBlock];
#if HWY_TARGET == HWY_SCALAR
  StoreBlock(block, lanes);
  for (size_t width = kBlock / 2; width >= 4; width /= 2) {
    for (size_t i = 0; i < width; ++i) {
      lanes[i] = Operation::Floats(lanes[i], lanes[i + width]);
    }
  }
#else
  hn::StoreU(FoldToFour<Operation>(block), hn::FixedTag<float, 4>(), lanes);
#endif
  return Operation::Floats(Operation::Floats(lanes[0], lanes[2]),
                           Operation::Floats(lanes[1], lanes[3]));
}
HWY_INLINE float SumOf(const Block& block) { return Reduce<Addition>(block); }
HWY_INLINE float MaxOf(const Block& block) { return Reduce<Maximum>(block); }

}  // namespace lutra::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
