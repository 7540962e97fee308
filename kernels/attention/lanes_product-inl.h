// The product of attention: rows of factors times steps of 16 lanes that lie
// one after the other. Scores are queries times keys, 16 tokens in the lanes,
// and what is added to y is weights times values, 16 elements in the lanes.

#if defined(LUTRA_KERNELS_ATTENTION_LANES_PRODUCT_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef LUTRA_KERNELS_ATTENTION_LANES_PRODUCT_INL_H_
#undef LUTRA_KERNELS_ATTENTION_LANES_PRODUCT_INL_H_
#else
#define LUTRA_KERNELS_ATTENTION_LANES_PRODUCT_INL_H_
#endif

#include <cstddef>
#include <cstring>
#include <type_traits>

#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "kernels/attention/attention_layout.h"
#include "kernels/target/hwy_compat-inl.h"
#include "kernels/target/pairs-inl.h"
#include "kernels/vector/block-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE {

inline constexpr size_t kBlockVectors = kBlock / kLanes;

// How elements that are stored as T are multiplied. A step has kPairs elements
// for each lane.
//   Factor, Sum              what rows consist of, what is summed
//   Unpacked                 what many rows have elements converted to first
//   Load(x), Store(v, x)     elements for kLanes lanes, and as Unpacked
//   Set(factors)             kPairs factors, in all lanes
//   Zero(), LoadSum(x), MultiplyAdd(sum, factor, element), StoreSum(sum, x)
template <typename T>
struct FloatLanes {
  using Factor = float;
  using Sum = float;
  using Unpacked = float;
  static constexpr size_t kPairs = 1;
  static HWY_INLINE VBlock Load(const T* x) { return LoadVector(x); }
  static HWY_INLINE VBlock Set(const float* factor) {
    return hn::Set(DBlock(), *factor);
  }
  static HWY_INLINE VBlock Zero() { return hn::Zero(DBlock()); }
  static HWY_INLINE VBlock LoadSum(const float* from) {
    return hn::LoadU(DBlock(), from);
  }
  static HWY_INLINE void StoreSum(VBlock sum, float* to) {
    hn::StoreU(sum, DBlock(), to);
  }
  static HWY_INLINE VBlock MultiplyAdd(VBlock sum, VBlock a, VBlock b) {
    return hn::Add(sum, hn::Mul(a, b));
  }
  static HWY_INLINE void Store(VBlock x, float* to) {
    hn::StoreU(x, DBlock(), to);
  }
};

using DInt32 = hn::RebindToSigned<DBlock>;
using DInt16 = hn::Repartition<int16_t, DBlock>;
using VInt32 = hn::Vec<DInt32>;
using VInt16 = hn::Vec<DInt16>;

// A type of the compiler's: of Highway's, whose vectors of integers are all one
// type on x86, g++ 12 copies every sum at the end of each step.
typedef int32_t VSum __attribute__((vector_size(kLanes * sizeof(int32_t))));

template <typename T>
struct IntegerLanes {
  using Factor = int16_t;
  using Sum = int32_t;
  using Unpacked = int16_t;
  static constexpr size_t kPairs = 2;
  static HWY_INLINE VInt16 Load(const int8_t* x) {
    return hn::PromoteTo(DInt16(), hn::LoadU(hn::Rebind<int8_t, DInt16>(), x));
  }
  static HWY_INLINE VInt16 Load(const int16_t* x) {
    return hn::LoadU(DInt16(), x);
  }
  static HWY_INLINE VInt16 Set(const int16_t* factors) {
    int32_t pair;
    std::memcpy(&pair, factors, sizeof(pair));
    return hn::BitCast(DInt16(), hn::Set(DInt32(), pair));
  }
  static HWY_INLINE VSum Zero() { return VSum{}; }
  static HWY_INLINE void StoreSum(VSum sum, int32_t* to) {
    std::memcpy(to, &sum, sizeof(sum));
  }
  static HWY_INLINE VSum MultiplyAdd(VSum sum, VInt16 a, VInt16 b) {
    return sum + (VSum)MultiplyPairs(a, b).raw;
  }
  static HWY_INLINE void Store(VInt16 x, int16_t* to) {
    hn::StoreU(x, DInt16(), to);
  }
};

HWY_INLINE void PrefetchBytes(const std::byte* from, size_t bytes) {
  constexpr size_t kLineBytes = 64;
  for (size_t i = 0; i < bytes; i += kLineBytes) hwy::Prefetch(from + i);
}

template <typename T>
struct LanesOf : FloatLanes<T> {};
template <>
struct LanesOf<int8_t> : IntegerLanes<int8_t> {};
template <>
struct LanesOf<int16_t> : IntegerLanes<int16_t> {};

// How sums begin, and how often what is read is read.
enum class Begin { kZero, kOut };
enum class Use { kOnce, kMany };

// Rows that share a pass over elements. Each of their sums is a chain of
// additions, and some eight vectors of chains hide the latency of one; with
// fewer rows a tile takes more blocks instead, but where elements are used by
// many rows blocks come one at a time. g++ 12 finds registers for twelve
// vectors of floats, of integers only for eight.
template <typename T>
constexpr size_t TileRows(Use use) {
  return kBlockVectors == 1 && use == Use::kMany       ? 8
         : LUTRA_REGISTERS == 32 || kBlockVectors == 1 ? 4
         : kBlockVectors == 4                          ? 2
         : LanesOf<T>::kPairs == 2                     ? 4
                                                       : 6;
}

template <typename T>
constexpr size_t TileBlocks(size_t rows) {
  const size_t vectors =
      LUTRA_REGISTERS == 32 ? 16 : 2 * TileRows<T>(Use::kOnce);
  const size_t blocks = vectors / (rows * kBlockVectors);
  return blocks >= 4 ? 4 : blocks >= 2 ? 2 : 1;
}

// Elements of consecutive blocks lie `block_stride` apart, factors and sums of
// rows `factor_stride` and `out_stride`.
struct ProductShape {
  size_t factor_stride;
  size_t block_stride;
  size_t out_stride;
  size_t steps;  // not 0
};

// What moves from tile to tile.
template <typename T>
struct ProductPlace {
  const typename LanesOf<T>::Factor* factors;
  const T* elements;
  typename LanesOf<T>::Sum* out;
  // Where the memory ends that is read from here on, and where it goes on: what
  // comes next is brought to the cache meanwhile.
  const std::byte* end;
  const std::byte* next;

  const std::byte* Ahead(const T* from, size_t bytes) const {
    const auto* const at = reinterpret_cast<const std::byte*>(from) + bytes;
    return at < end ? at : next + (at - end);
  }
};

// Of what is used once, so much ahead.
inline constexpr size_t kAheadBytes = 8192;

// n vectors, each of which has a name: an array of integers g++ 12 keeps in
// memory. The constructor is written out as that of BlockOf.
template <size_t n, class V>
struct Vectors {
  HWY_ATTR Vectors() {}
  Vectors<n - 1, V> before;
  V last;
};
template <class V>
struct Vectors<0, V> {};

// Elements of n vectors of a tile.
template <class L, size_t n, class V, typename T>
HWY_INLINE void LoadElements(Vectors<n, V>& to, const T* elements,
                             size_t block_stride) {
  if constexpr (n > 0) {
    constexpr size_t kLast = n - 1;
    LoadElements<L>(to.before, elements, block_stride);
    to.last = L::Load(elements + kLast / kBlockVectors * block_stride +
                      kLast % kBlockVectors * kLanes * L::kPairs);
  }
}

template <class L, size_t n, class V, class VFactor, class VElement>
HWY_INLINE void MultiplyAdd(Vectors<n, V>& sums, VFactor factor,
                            const Vectors<n, VElement>& elements) {
  if constexpr (n > 0) {
    MultiplyAdd<L>(sums.before, factor, elements.before);
    sums.last = L::MultiplyAdd(sums.last, factor, elements.last);
  }
}

template <Begin kBegin, class L, size_t n, class V>
HWY_INLINE void StartSums(Vectors<n, V>& sums, const typename L::Sum* out) {
  if constexpr (n > 0) {
    StartSums<kBegin, L>(sums.before, out);
    if constexpr (kBegin == Begin::kZero) {
      sums.last = L::Zero();
    } else {
      sums.last = L::LoadSum(out + (n - 1) * kLanes);
    }
  }
}

template <class L, size_t n, class V>
HWY_INLINE void StoreSums(const Vectors<n, V>& sums, typename L::Sum* out) {
  if constexpr (n > 0) {
    StoreSums<L>(sums.before, out);
    L::StoreSum(sums.last, out + (n - 1) * kLanes);
  }
}

// The sums of kRows rows of a tile.
template <size_t kRows, size_t kVectors, typename T>
struct TileSums {
  using L = LanesOf<T>;
  static constexpr size_t kLast = kRows - 1;

  HWY_ATTR TileSums() {}

  template <Begin kBegin>
  HWY_INLINE void Start(const typename L::Sum* out, size_t stride) {
    before.template Start<kBegin>(out, stride);
    StartSums<kBegin, L>(last, out + kLast * stride);
  }
  // Row by row: with all factors in registers there are too few of these.
  template <class Elements>
  HWY_INLINE void Add(const typename L::Factor* factors, size_t stride,
                      const Elements& elements) {
    before.Add(factors, stride, elements);
    MultiplyAdd<L>(last, L::Set(factors + kLast * stride), elements);
  }
  HWY_INLINE void Store(typename L::Sum* out, size_t stride) const {
    before.Store(out, stride);
    StoreSums<L>(last, out + kLast * stride);
  }

  TileSums<kRows - 1, kVectors, T> before;
  Vectors<kVectors, decltype(L::Zero())> last;
};
template <size_t kVectors, typename T>
struct TileSums<0, kVectors, T> {
  using L = LanesOf<T>;
  template <Begin kBegin>
  HWY_INLINE void Start(const typename L::Sum*, size_t) {}
  template <class Elements>
  HWY_INLINE void Add(const typename L::Factor*, size_t, const Elements&) {}
  HWY_INLINE void Store(typename L::Sum*, size_t) const {}
};

// Tiles are functions of their own: one that holds them all takes compilers
// three times as long. What moves comes in registers: in a structure that is
// copied it would not have reached the cache when it is read.
template <Begin kBegin, Use kUse, size_t kRows, size_t kBlocks, typename T>
HWY_NOINLINE void MultiplyTile(const ProductShape& shape,
                               const typename LanesOf<T>::Factor* factors,
                               const T* elements, typename LanesOf<T>::Sum* out,
                               const std::byte* next) {
  using L = LanesOf<T>;
  constexpr size_t kStepElements = kBlock * L::kPairs;
  const size_t factor_stride = shape.factor_stride;
  const size_t block_stride = shape.block_stride;
  TileSums<kRows, kBlocks * kBlockVectors, T> sums;
  sums.template Start<kBegin>(out, shape.out_stride);
  const auto* const end = factors + shape.steps * L::kPairs;
  do {
    if constexpr (kUse == Use::kOnce) {
      constexpr size_t kBytes = kBlocks * kStepElements * sizeof(T);
      PrefetchBytes(next, kBytes);
      next += kBytes;
    }
    Vectors<kBlocks * kBlockVectors, decltype(L::Load(elements))> loaded;
    LoadElements<L>(loaded, elements, block_stride);
    sums.Add(factors, factor_stride, loaded);
    factors += L::kPairs;
    elements += kStepElements;
  } while (factors != end);
  sums.Store(out, shape.out_stride);
}

// All of `blocks` for kRows rows.
template <Begin kBegin, Use kUse, size_t kRows, typename T>
HWY_INLINE void MultiplyRows(const ProductShape& shape,
                             const ProductPlace<T>& place, size_t blocks) {
  constexpr size_t kBlocks = TileBlocks<T>(kRows);
  const auto elements = [&](size_t block) {
    return place.elements + block * shape.block_stride;
  };
  const auto ahead = [&](size_t block) -> const std::byte* {
    return kUse == Use::kMany ? nullptr
                              : place.Ahead(elements(block), kAheadBytes);
  };
  size_t b = 0;
  for (; b + kBlocks <= blocks; b += kBlocks) {
    MultiplyTile<kBegin, kUse, kRows, kBlocks, T>(
        shape, place.factors, elements(b), place.out + b * kBlock, ahead(b));
  }
  for (; kBlocks > 1 && b < blocks; ++b) {
    MultiplyTile<kBegin, kUse, kRows, 1, T>(shape, place.factors, elements(b),
                                            place.out + b * kBlock, ahead(b));
  }
}

// The same for `rows`, at most kRows.
template <Begin kBegin, Use kUse, size_t kRows, typename T>
HWY_INLINE void MultiplyRest(const ProductShape& shape,
                             const ProductPlace<T>& place, size_t rows,
                             size_t blocks) {
  if constexpr (kRows > 0) {
    if (rows == kRows) {
      return MultiplyRows<kBegin, kUse, kRows>(shape, place, blocks);
    }
    MultiplyRest<kBegin, kUse, kRows - 1>(shape, place, rows, blocks);
  }
}

// All of `blocks` for all of `rows`. Of kMany, each group of rows brings
// `next_bytes` to the cache.
template <Begin kBegin, Use kUse, typename T>
HWY_NOINLINE void Multiply(const ProductShape& shape, ProductPlace<T> place,
                           size_t rows, size_t blocks, size_t next_bytes = 0) {
  constexpr size_t kRows = TileRows<T>(kUse);
  for (; rows >= kRows; rows -= kRows) {
    if constexpr (kUse == Use::kMany) {
      PrefetchBytes(place.next, next_bytes);
      place.next += next_bytes;
    }
    MultiplyRows<kBegin, kUse, kRows>(shape, place, blocks);
    place.factors += kRows * shape.factor_stride;
    place.out += kRows * shape.out_stride;
  }
  MultiplyRest<kBegin, kUse, kRows - 1>(shape, place, rows, blocks);
}

// The same for many rows: they take `blocks` one after the other, converted to
// `unpacked` if they are stored in another way.
template <Begin kBegin, typename T>
void MultiplyMany(const ProductShape& shape, const ProductPlace<T>& place,
                  size_t rows, size_t blocks,
                  typename LanesOf<T>::Unpacked* unpacked) {
  using L = LanesOf<T>;
  using Unpacked = typename L::Unpacked;
  const size_t elements = shape.steps * kBlock * L::kPairs;
  const size_t next_bytes =
      elements * sizeof(T) / (rows / TileRows<Unpacked>(Use::kMany));
  for (size_t b = 0; b < blocks; ++b) {
    const T* const from = place.elements + b * shape.block_stride;
    const Unpacked* block = nullptr;
    if constexpr (std::is_same_v<T, Unpacked>) {
      block = from;
    } else {
      for (size_t i = 0; i < elements; i += kLanes * L::kPairs) {
        L::Store(L::Load(from + i), unpacked + i);
      }
      block = unpacked;
    }
    Multiply<kBegin, Use::kMany, Unpacked>(
        shape,
        {.factors = place.factors,
         .elements = block,
         .out = place.out + b * kBlock,
         .end = nullptr,
         .next = place.Ahead(from, elements * sizeof(T))},
        rows, 1, next_bytes);
  }
}

}  // namespace lutra::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
