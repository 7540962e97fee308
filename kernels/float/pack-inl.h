// Operands rearranged for tiles: what a tile reads lies in the order in which
// it reads it, as floats, whatever the operand's type and layout.

#if defined(LUTRA_KERNELS_FLOAT_PACK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LUTRA_KERNELS_FLOAT_PACK_INL_H_
#undef LUTRA_KERNELS_FLOAT_PACK_INL_H_
#else
#define LUTRA_KERNELS_FLOAT_PACK_INL_H_
#endif

#include <algorithm>
#include <cstddef>

#include "hwy/highway.h"
#include "kernels/float/gemm_job.h"
#include "kernels/target/hwy_compat-inl.h"
#include "kernels/vector/block-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// A tile takes up two vectors of columns where there are 16 registers; narrow
// vectors in 32 registers allow four.
inline constexpr size_t kTileVectors =
    LUTRA_REGISTERS == 32 && kLanes == 4 ? 4 : 2;
inline constexpr size_t kTileColumns = kTileVectors * kLanes;
inline constexpr size_t kTileRows =
    LUTRA_REGISTERS == 32 && kTileVectors == 2 ? kMaxTileRows : 6;

// Transposes 4 x 4 floats in each block of 128 bits.
template <class D, class V = hn::Vec<D>>
HWY_INLINE void Transpose(D d, V& v0, V& v1, V& v2, V& v3) {
  const V low02 = hn::InterleaveLower(d, v0, v2);
  const V low13 = hn::InterleaveLower(d, v1, v3);
  const V high02 = hn::InterleaveUpper(d, v0, v2);
  const V high13 = hn::InterleaveUpper(d, v1, v3);
  v0 = hn::InterleaveLower(d, low02, low13);
  v1 = hn::InterleaveUpper(d, low02, low13);
  v2 = hn::InterleaveLower(d, high02, high13);
  v3 = hn::InterleaveUpper(d, high02, high13);
}

// Four elements from rows[0], rows[4], ... each, as many as a vector has; bits
// of half floats.
template <class D, typename T>
HWY_INLINE hn::Vec<D> LoadFourBits(D d, const T* const* rows, size_t at) {
  if constexpr (hn::MaxLanes(D()) == 4) {
    return hn::LoadU(d, reinterpret_cast<const hn::TFromD<D>*>(rows[0] + at));
  } else {
    const hn::Half<D> half;
    return hn::Combine(d, LoadFourBits(half, rows + hn::MaxLanes(half), at),
                       LoadFourBits(half, rows, at));
  }
}
// The same as floats.
template <class D, typename T>
HWY_INLINE hn::Vec<D> LoadFours(D d, const T* const* rows, size_t at) {
  if constexpr (sizeof(T) == sizeof(float)) {
    return LoadFourBits(d, rows, at);
  } else {
    return ToFloats(d, T(), LoadFourBits(hn::Rebind<uint16_t, D>(), rows, at));
  }
}

// As many rows as a vector has lanes, four of their columns: v[i] is column
// at + i.
template <class D, typename T, class V = hn::Vec<D>>
HWY_INLINE void LoadColumns(D d, const T* const* rows, size_t at, V& v0, V& v1,
                            V& v2, V& v3) {
  v0 = LoadFours(d, rows, at);
  v1 = LoadFours(d, rows + 1, at);
  v2 = LoadFours(d, rows + 2, at);
  v3 = LoadFours(d, rows + 3, at);
  Transpose(d, v0, v1, v2, v3);
}

// One by one only at edges.
template <typename T>
HWY_INLINE float ToFloat(const T* x) {
  return hn::GetLane(LoadFloats(hn::FixedTag<float, 1>(), x));
}

// store(j, to) for each of `depth` terms, where `to` is the place of term j:
// term j / 4 of chain j % 4, each `size` floats.
template <class Store>
HWY_INLINE void ForEachTerm(size_t depth, float* to, size_t size,
                            size_t chain_size, const Store& store) {
  size_t j = 0;
  for (; j + kChains <= depth; j += kChains, to += size) {
    for (size_t chain = 0; chain < kChains; ++chain) {
      store(j + chain, to + chain * chain_size);
    }
  }
  for (; j < depth; ++j, to += chain_size) store(j, to);
}

// Packs `depth` columns of `tiles` tiles of rows of `a` from `row` on; rows
// from `end` on are not there, and repeat the last one.
template <typename T>
HWY_NOINLINE void PackRows(const FloatMatrix& a, size_t row, size_t end,
                           size_t tiles, size_t column, size_t depth,
                           float* HWY_RESTRICT packed) {
  const hn::CappedTag<float, kTileRows == 6 ? 8 : 16> d;
  constexpr size_t kGroup = hn::MaxLanes(d);
  constexpr size_t kRows = (kTileRows + kGroup - 1) / kGroup * kGroup;
  const size_t chain = PackedChain(kTileRows, depth);
  const size_t tile = PackedTile(kTileRows, depth);
  const T* data = static_cast<const T*>(a.data);
  // More than kTileRows rows are stored; what is too much is overwritten by the
  // next term of the chain.
  if (!a.transposed) {
    for (; tiles > 0; --tiles, row += kTileRows, packed += tile) {
      const T* rows[kRows];
      for (size_t r = 0; r < kRows; ++r) {
        rows[r] = data + std::min(row + r, end - 1) * a.stride + column;
      }
      const size_t whole = depth / 4 * 4;
      float* to = packed;
      for (size_t j = 0; j < whole; j += 4, to += kTileRows) {
        for (size_t g = 0; g < kRows; g += kGroup) {
          hn::Vec<decltype(d)> v0, v1, v2, v3;
          LoadColumns(d, rows + g, j, v0, v1, v2, v3);
          hn::StoreU(v0, d, to + g);
          hn::StoreU(v1, d, to + chain + g);
          hn::StoreU(v2, d, to + 2 * chain + g);
          hn::StoreU(v3, d, to + 3 * chain + g);
        }
      }
      for (size_t j = 0; j < depth % 4; ++j) {
        for (size_t r = 0; r < kTileRows; ++r) {
          to[j * chain + r] = ToFloat(rows[r] + whole + j);
        }
      }
    }
    return;
  }
  // A column at a time, for all tiles: its rows lie side by side, and columns
  // that are a power of two apart push each other out of the cache.
  size_t whole = 0;
  while (whole < tiles && row + whole * kTileRows + kRows <= end) ++whole;
  ForEachTerm(depth, packed, kTileRows, chain,
              [&](size_t j, float* to) HWY_ATTR {
                const T* from = data + (column + j) * a.stride + row;
                size_t t = 0;
                for (; t < whole; ++t, to += tile, from += kTileRows) {
                  for (size_t g = 0; g < kRows; g += kGroup) {
                    hn::StoreU(LoadFloats(d, from + g), d, to + g);
                  }
                }
                for (; t < tiles; ++t, to += tile, from += kTileRows) {
                  const size_t last =
                      std::min(kTileRows, end - row - t * kTileRows) - 1;
                  for (size_t r = 0; r < kTileRows; ++r) {
                    to[r] = ToFloat(from + std::min(r, last));
                  }
                }
              });
}

// Packed columns of `b`: float [chain][terms of chain 0][kTileColumns], a cache
// line more per chain so that chains do not fall into the same sets.
constexpr size_t PanelChain(size_t depth) {
  return ChainTerms(depth, 0) * kTileColumns + 16;
}

// Packs `depth` rows of columns of `b` from `n` on; those from `end` on are
// not there, and repeat the last one.
template <typename T>
HWY_NOINLINE void PackColumns(const FloatMatrix& b, size_t n, size_t end,
                              size_t row, size_t depth,
                              float* HWY_RESTRICT panel) {
  const DBlock d;
  const size_t chain = PanelChain(depth);
  const T* data = static_cast<const T*>(b.data);
  if (b.transposed) {
    const size_t whole = depth / 4 * 4;
    for (size_t c = 0; c < kTileColumns; c += kLanes) {
      const T* columns[kLanes];
      for (size_t i = 0; i < kLanes; ++i) {
        columns[i] = data + std::min(n + c + i, end - 1) * b.stride + row;
      }
      float* to = panel + c;
      for (size_t j = 0; j < whole; j += 4, to += kTileColumns) {
        VBlock v0, v1, v2, v3;
        LoadColumns(d, columns, j, v0, v1, v2, v3);
        hn::Store(v0, d, to);
        hn::Store(v1, d, to + chain);
        hn::Store(v2, d, to + 2 * chain);
        hn::Store(v3, d, to + 3 * chain);
      }
      for (size_t j = 0; j < depth % 4; ++j) {
        for (size_t i = 0; i < kLanes; ++i) {
          to[j * chain + i] = ToFloat(columns[i] + whole + j);
        }
      }
    }
    return;
  }
  const T* from = data + row * b.stride + n;
  if (n + kTileColumns <= end) {
    ForEachTerm(depth, panel, kTileColumns, chain,
                [&](size_t j, float* to) HWY_ATTR {
                  for (size_t c = 0; c < kTileColumns; c += kLanes) {
                    hn::Store(LoadVector(from + j * b.stride + c), d, to + c);
                  }
                });
    return;
  }
  const size_t last = end - n - 1;
  ForEachTerm(depth, panel, kTileColumns, chain,
              [&](size_t j, float* to) HWY_ATTR {
                for (size_t c = 0; c < kTileColumns; ++c) {
                  to[c] = ToFloat(from + j * b.stride + std::min(c, last));
                }
              });
}

}  // namespace lutra::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
