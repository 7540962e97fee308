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
//   Load(x)                  a vector of them, of kLanes lanes
//   Set(factors)             kPairs factors, in all lanes
//   Zero(), MultiplyAdd(sum, factor, element)
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

typedef int32_t VSum __attribute__((vector_size(kLanes * 4)));

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

// Rows that share a pass over elements. Each of their sums is a chain of
// additions, and some eight vectors of chains hide the latency of one; with
// fewer rows a tile takes more blocks instead. g++ 12 finds registers for
// twelve vectors of floats, of integers only for eight.
template <typename T>
constexpr size_t TileRows() {
  return LUTRA_REGISTERS == 32 || kBlockVectors == 1 ? 4
         : kBlockVectors == 4                        ? 2
         : LanesOf<T>::kPairs == 2                   ? 4
                                                     : 6;
}

template <typename T>
constexpr size_t TileBlocks(size_t rows) {
  const size_t vectors = LUTRA_REGISTERS == 32 ? 16 : 2 * TileRows<T>();
  const size_t blocks = vectors / (rows * kBlockVectors);
  return blocks >= 4 ? 4 : blocks >= 2 ? 2 : 1;
}

// Elements of consecutive blocks lie `block_stride` apart, factors and outputs
// of rows `factor_stride` and `out_stride`.
template <typename T>
struct ProductArguments {
  const typename LanesOf<T>::Factor* factors;
  size_t factor_stride;
  const T* elements;
  size_t block_stride;
  size_t steps;  // not 0
  typename LanesOf<T>::Sum* out;
  size_t out_stride;
  // What will be read next and is brought to the cache meanwhile; of kMany,
  // `next_bytes` for each group of rows.
  const void* next;
  size_t next_bytes;
};

// How sums begin, and how often what is read is read.
enum class Begin { kZero, kOut };
enum class Use { kOnce, kMany };

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
      std::memcpy(&sums.last, out + (n - 1) * kLanes, sizeof(sums.last));
    }
  }
}

template <class L, size_t n, class V>
HWY_INLINE void StoreSums(const Vectors<n, V>& sums, typename L::Sum* out) {
  if constexpr (n > 0) {
    StoreSums<L>(sums.before, out);
    std::memcpy(out + (n - 1) * kLanes, &sums.last, sizeof(sums.last));
  }
}

// The sums of kRows rows of a tile.
template <size_t kRows, size_t kVectors, typename T>
struct TileSums {
  using L = LanesOf<T>;
  static constexpr size_t kLast = kRows - 1;

  HWY_ATTR TileSums() {}

  template <Begin kBegin>
  HWY_INLINE void Start(const ProductArguments<T>& p) {
    before.template Start<kBegin>(p);
    StartSums<kBegin, L>(last, p.out + kLast * p.out_stride);
  }
  // Row by row: with all factors in registers there are too few of these.
  template <class Elements>
  HWY_INLINE void Add(const ProductArguments<T>& p,
                      const typename L::Factor* factors,
                      const Elements& elements) {
    before.Add(p, factors, elements);
    MultiplyAdd<L>(last, L::Set(factors + kLast * p.factor_stride), elements);
  }
  HWY_INLINE void Store(const ProductArguments<T>& p) const {
    before.Store(p);
    StoreSums<L>(last, p.out + kLast * p.out_stride);
  }

  TileSums<kRows - 1, kVectors, T> before;
  Vectors<kVectors, decltype(L::Zero())> last;
};
template <size_t kVectors, typename T>
struct TileSums<0, kVectors, T> {
  template <Begin kBegin>
  HWY_INLINE void Start(const ProductArguments<T>&) {}
  template <class Elements>
  HWY_INLINE void Add(const ProductArguments<T>&,
                      const typename LanesOf<T>::Factor*, const Elements&) {}
  HWY_INLINE void Store(const ProductArguments<T>&) const {}
};

// Tiles are functions of their own: one that holds them all takes compilers
// three times as long.
template <Begin kBegin, Use kUse, size_t kRows, size_t kBlocks, typename T>
HWY_NOINLINE void MultiplyTile(const ProductArguments<T>& p) {
  using L = LanesOf<T>;
  constexpr size_t kStepElements = kBlock * L::kPairs;
  TileSums<kRows, kBlocks * kBlockVectors, T> sums;
  sums.template Start<kBegin>(p);
  const auto* factors = p.factors;
  const T* elements = p.elements;
  const auto* const end = factors + p.steps * L::kPairs;
  const auto* next = static_cast<const std::byte*>(p.next);
  do {
    if constexpr (kUse == Use::kOnce) {
      constexpr size_t kBytes = kBlocks * kStepElements * sizeof(T);
      PrefetchBytes(next, kBytes);
      next += kBytes;
    }
    Vectors<kBlocks * kBlockVectors, decltype(L::Load(elements))> loaded;
    LoadElements<L>(loaded, elements, p.block_stride);
    sums.Add(p, factors, loaded);
    factors += L::kPairs;
    elements += kStepElements;
  } while (factors != end);
  sums.Store(p);
}

// All of `blocks` for kRows rows.
template <Begin kBegin, Use kUse, size_t kRows, typename T>
HWY_INLINE void MultiplyRows(ProductArguments<T> p, size_t blocks) {
  constexpr size_t kBlocks = TileBlocks<T>(kRows);
  const void* const after = p.next;
  const auto advance = [&](size_t n) {
    p.elements += n * p.block_stride;
    p.out += n * kBlock;
    blocks -= n;
  };
  while (blocks >= kBlocks) {
    p.next = blocks > kBlocks ? p.elements + kBlocks * p.block_stride : after;
    MultiplyTile<kBegin, kUse, kRows, kBlocks>(p);
    advance(kBlocks);
  }
  while (kBlocks > 1 && blocks != 0) {
    p.next = blocks > 1 ? p.elements + p.block_stride : after;
    MultiplyTile<kBegin, kUse, kRows, 1>(p);
    advance(1);
  }
}

// The same for `rows`, at most kRows.
template <Begin kBegin, Use kUse, size_t kRows, typename T>
HWY_INLINE void MultiplyRest(const ProductArguments<T>& p, size_t rows,
                             size_t blocks) {
  if constexpr (kRows > 0) {
    if (rows == kRows) return MultiplyRows<kBegin, kUse, kRows>(p, blocks);
    MultiplyRest<kBegin, kUse, kRows - 1>(p, rows, blocks);
  }
}

// All of `blocks` for all of `rows`.
template <Begin kBegin, Use kUse, typename T>
HWY_NOINLINE void Multiply(ProductArguments<T> p, size_t rows, size_t blocks) {
  constexpr size_t kRows = TileRows<T>();
  for (; rows >= kRows; rows -= kRows) {
    if constexpr (kUse == Use::kMany) {
      const auto* const next = static_cast<const std::byte*>(p.next);
      PrefetchBytes(next, p.next_bytes);
      p.next = next + p.next_bytes;
    }
    MultiplyRows<kBegin, kUse, kRows>(p, blocks);
    p.factors += kRows * p.factor_stride;
    p.out += kRows * p.out_stride;
  }
  MultiplyRest<kBegin, kUse, kRows - 1>(p, rows, blocks);
}

// The same for many rows: they take `blocks` one after the other, converted to
// `unpacked` if they are stored in another way.
template <Begin kBegin, typename T>
void MultiplyMany(const ProductArguments<T>& p, size_t rows, size_t blocks,
                  typename LanesOf<T>::Unpacked* unpacked) {
  using L = LanesOf<T>;
  using Unpacked = typename L::Unpacked;
  const size_t elements = p.steps * kBlock * L::kPairs;
  ProductArguments<Unpacked> block = {
      .factors = p.factors,
      .factor_stride = p.factor_stride,
      .elements = unpacked,
      .block_stride = 0,
      .steps = p.steps,
      .out = p.out,
      .out_stride = p.out_stride,
      .next = nullptr,
      .next_bytes = elements * sizeof(T) / (rows / TileRows<T>())};
  for (size_t b = 0; b < blocks; ++b, block.out += kBlock) {
    const T* const from = p.elements + b * p.block_stride;
    block.next = b + 1 < blocks ? from + p.block_stride : p.next;
    if constexpr (std::is_same_v<T, Unpacked>) {
      block.elements = from;
    } else {
      for (size_t i = 0; i < elements; i += kLanes * L::kPairs) {
        L::Store(L::Load(from + i), unpacked + i);
      }
    }
    Multiply<kBegin, Use::kMany>(block, rows, 1);
  }
}

}  // namespace lutra::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
