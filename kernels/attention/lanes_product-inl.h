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

#include <cstring>

#include "hwy/highway.h"
#include "kernels/attention/attention_layout.h"
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
// additions, and eight vectors of chains hide the latency of one; with fewer
// rows a tile takes more blocks instead.
inline constexpr size_t kTileRows = 4;

constexpr size_t TileBlocks(size_t rows) {
  return kBlockVectors > 1 ? kTileRows / (rows == 3 ? 4 : rows) : 4;
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
};

// Sums become floats as `Output` says, for 16 lanes of block `b` and row `r`:
//   output.Start(out)                 of floats, what sums begin with
//   output.Finish(sum, r, b, v, out)  what goes to `out`, vector v of the block
// Tiles are functions of their own: one that holds them all takes compilers
// three times as long.
template <size_t kRows, size_t kBlocks, typename T, class Output>
HWY_NOINLINE void MultiplyTile(const ProductArguments<T>& p,
                               const Output& output) {
  using L = LanesOf<T>;
  using Sum = decltype(L::Zero());
  Sum sums[kRows * kBlocks * kBlockVectors];
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t i = 0; i < kBlocks * kBlockVectors; ++i) {
      sums[r * kBlocks * kBlockVectors + i] =
          output.Start(L::Zero(), p.out + r * p.out_stride + i * kLanes);
    }
  }
  const auto* factors = p.factors;
  const auto* const end = factors + p.steps * L::kPairs;
  const T* elements = p.elements;
  do {
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
    elements += kBlock * L::kPairs;
  } while (factors != end);
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t b = 0; b < kBlocks; ++b) {
      for (size_t v = 0; v < kBlockVectors; ++v) {
        const size_t lane = b * kBlock + v * kLanes;
        float* out = p.out + r * p.out_stride + lane;
        output.Finish(sums[(r * kBlocks + b) * kBlockVectors + v], r, lane,
                      out);
      }
    }
  }
}

// All of `blocks` for kRows rows.
template <size_t kRows, typename T, class Output>
HWY_INLINE void MultiplyRows(ProductArguments<T> p, size_t blocks,
                             Output output) {
  constexpr size_t kBlocks = TileBlocks(kRows);
  const auto advance = [&](size_t n) {
    p.elements += n * p.block_stride;
    p.out += n * kBlock;
    output.Advance(n * kBlock);
    blocks -= n;
  };
  while (blocks >= kBlocks) {
    MultiplyTile<kRows, kBlocks>(p, output);
    advance(kBlocks);
  }
  while (blocks != 0) {
    MultiplyTile<kRows, 1>(p, output);
    advance(1);
  }
}

// All of `blocks` for all of `rows`.
template <typename T, class Output>
HWY_NOINLINE void Multiply(ProductArguments<T> p, size_t rows, size_t blocks,
                           Output output) {
  for (; rows >= kTileRows; rows -= kTileRows) {
    MultiplyRows<kTileRows>(p, blocks, output);
    p.factors += kTileRows * p.factor_stride;
    p.out += kTileRows * p.out_stride;
    output.NextRows(kTileRows);
  }
  switch (rows) {
    case 3:
      return MultiplyRows<3>(p, blocks, output);
    case 2:
      return MultiplyRows<2>(p, blocks, output);
    case 1:
      return MultiplyRows<1>(p, blocks, output);
    default:
      return;
  }
}

// The same, converting each block to `unpacked` first, which pays from
// kUnpackRows rows on.
inline constexpr size_t kUnpackRows = 3 * kTileRows;

template <typename T, class Output>
void MultiplyUnpacked(const ProductArguments<T>& p, size_t rows, size_t blocks,
                      Output output, typename LanesOf<T>::Unpacked* unpacked) {
  using L = LanesOf<T>;
  const size_t elements = p.steps * kBlock * L::kPairs;
  for (size_t b = 0; b < blocks; ++b) {
    for (size_t i = 0; i < elements; i += kLanes * L::kPairs) {
      L::Store(L::Load(p.elements + b * p.block_stride + i), unpacked + i);
    }
    Multiply<typename L::Unpacked>({.factors = p.factors,
                                    .factor_stride = p.factor_stride,
                                    .elements = unpacked,
                                    .block_stride = 0,
                                    .steps = p.steps,
                                    .out = p.out + b * kBlock,
                                    .out_stride = p.out_stride},
                                   rows, 1, output);
    output.Advance(kBlock);
  }
}

}  // namespace lutra::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
