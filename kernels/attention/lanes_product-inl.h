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
//   Factor                   what rows consist of
//   Unpacked                 what many rows have elements converted to first
//   Load(x)                  a vector of them, of kLanes lanes
//   Set(factors)             kPairs factors, in all lanes
//   Zero(), MultiplyAdd(sum, factor, element)
template <typename T>
struct FloatLanes {
  using Factor = float;
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

template <typename T>
struct IntegerLanes {
  using Factor = int16_t;
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
  static HWY_INLINE VInt32 Zero() { return hn::Zero(DInt32()); }
  static HWY_INLINE VInt32 MultiplyAdd(VInt32 sum, VInt16 a, VInt16 b) {
    return hn::Add(sum, MultiplyPairs(a, b));
  }
  static HWY_INLINE void Store(VInt16 x, int16_t* to) {
    hn::StoreU(x, DInt16(), to);
  }
};

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
  float* out;
  size_t out_stride;
  // What will be read next, and brought to the cache meanwhile.
  const void* next;
};

// Sums become floats as `Output` says:
//   output.Start(zero, out)             what sums of floats begin with
//   output.Finish(sum, row, lane, out)  from the tile's first row and lane on
// Tiles are functions of their own: one that holds them all takes compilers
// three times as long.
template <bool kAhead, size_t kRows, size_t kBlocks, typename T, class Output>
HWY_NOINLINE void MultiplyTile(const ProductArguments<T>& p,
                               const Output& output) {
  using L = LanesOf<T>;
  using Sum = decltype(L::Zero());
  constexpr size_t kStepElements = kBlock * L::kPairs;
  constexpr size_t kLineBytes = 64;
  Sum sums[kRows * kBlocks * kBlockVectors];
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t i = 0; i < kBlocks * kBlockVectors; ++i) {
      sums[r * kBlocks * kBlockVectors + i] =
          output.Start(L::Zero(), p.out + r * p.out_stride + i * kLanes);
    }
  }
  const auto* factors = p.factors;
  const T* elements = p.elements;
  const auto* const end = factors + p.steps * L::kPairs;
  const auto* next = static_cast<const std::byte*>(p.next);
  do {
    if constexpr (kAhead) {
      constexpr size_t kBytes = kBlocks * kStepElements * sizeof(T);
      for (size_t i = 0; i < kBytes; i += kLineBytes) hwy::Prefetch(next + i);
      next += kBytes;
    }
    for (size_t b = 0; b < kBlocks; ++b) {
      for (size_t v = 0; v < kBlockVectors; ++v) {
        const auto element =
            L::Load(elements + b * p.block_stride + v * kLanes * L::kPairs);
        for (size_t r = 0; r < kRows; ++r) {
          Sum& sum = sums[(r * kBlocks + b) * kBlockVectors + v];
          sum = L::MultiplyAdd(sum, L::Set(factors + r * p.factor_stride),
                               element);
        }
      }
    }
    factors += L::kPairs;
    elements += kStepElements;
  } while (factors != end);
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t i = 0; i < kBlocks * kBlockVectors; ++i) {
      output.Finish(sums[r * kBlocks * kBlockVectors + i], r, i * kLanes,
                    p.out + r * p.out_stride + i * kLanes);
    }
  }
}

// All of `blocks` for kRows rows.
template <bool kAhead, size_t kRows, typename T, class Output>
HWY_INLINE void MultiplyRows(ProductArguments<T> p, size_t blocks,
                             Output output) {
  constexpr size_t kBlocks = TileBlocks<T>(kRows);
  const void* const after = p.next;
  const auto advance = [&](size_t n) {
    p.elements += n * p.block_stride;
    p.out += n * kBlock;
    output.Advance(n * kBlock);
    blocks -= n;
  };
  while (blocks >= kBlocks) {
    p.next = blocks > kBlocks ? p.elements + kBlocks * p.block_stride : after;
    MultiplyTile<kAhead, kRows, kBlocks>(p, output);
    advance(kBlocks);
  }
  while (kBlocks > 1 && blocks != 0) {
    p.next = blocks > 1 ? p.elements + p.block_stride : after;
    MultiplyTile<kAhead, kRows, 1>(p, output);
    advance(1);
  }
}

// The same for `rows`, at most kRows.
template <bool kAhead, size_t kRows, typename T, class Output>
HWY_INLINE void MultiplyRest(const ProductArguments<T>& p, size_t rows,
                             size_t blocks, const Output& output) {
  if constexpr (kRows > 0) {
    if (rows == kRows) return MultiplyRows<kAhead, kRows>(p, blocks, output);
    MultiplyRest<kAhead, kRows - 1>(p, rows, blocks, output);
  }
}

// All of `blocks` for all of `rows`. With kAhead for what is used once.
template <bool kAhead, typename T, class Output>
HWY_NOINLINE void Multiply(ProductArguments<T> p, size_t rows, size_t blocks,
                           Output output) {
  constexpr size_t kRows = TileRows<T>();
  for (; rows >= kRows; rows -= kRows) {
    MultiplyRows<kAhead, kRows>(p, blocks, output);
    p.factors += kRows * p.factor_stride;
    p.out += kRows * p.out_stride;
    output.NextRows(kRows);
  }
  MultiplyRest<kAhead, kRows - 1>(p, rows, blocks, output);
}

// The same for many rows: they take `elements` elements of a block after the
// other, converted to `unpacked` if they are stored in another way.
template <typename T, class Output>
void MultiplyMany(const ProductArguments<T>& p, size_t rows, size_t blocks,
                  Output output, typename LanesOf<T>::Unpacked* unpacked) {
  using L = LanesOf<T>;
  using Unpacked = typename L::Unpacked;
  const size_t elements = p.steps * kBlock * L::kPairs;
  ProductArguments<Unpacked> block = {.factors = p.factors,
                                      .factor_stride = p.factor_stride,
                                      .elements = unpacked,
                                      .block_stride = 0,
                                      .steps = p.steps,
                                      .out = p.out,
                                      .out_stride = p.out_stride,
                                      .next = nullptr};
  for (size_t b = 0; b < blocks; ++b, block.out += kBlock) {
    const T* const from = p.elements + b * p.block_stride;
    if constexpr (std::is_same_v<T, Unpacked>) {
      block.elements = from;
    } else {
      for (size_t i = 0; i < elements; i += kLanes * L::kPairs) {
        L::Store(L::Load(from + i), unpacked + i);
      }
    }
    Multiply<false>(block, rows, 1, output);
    output.Advance(kBlock);
  }
}

}  // namespace lutra::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
