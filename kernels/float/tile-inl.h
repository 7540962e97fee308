// Tiles of c from packed rows and columns.

#if defined(LUTRA_KERNELS_FLOAT_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LUTRA_KERNELS_FLOAT_TILE_INL_H_
#undef LUTRA_KERNELS_FLOAT_TILE_INL_H_
#else
#define LUTRA_KERNELS_FLOAT_TILE_INL_H_
#endif

#include <algorithm>
#include <cstddef>

#include "hwy/highway.h"
#include "kernels/float/gemm_job.h"
#include "kernels/float/pack-inl.h"
#include "kernels/target/hwy_compat-inl.h"
#include "kernels/vector/block-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Rows of floats that are `stride` apart, 0 where all are the same.
template <typename T>
struct FloatRows {
  T* data;
  size_t stride;
};

// The next term of the chains of a tile.
template <size_t kRows>
HWY_INLINE void AddTerm(const float* HWY_RESTRICT a,
                        const float* HWY_RESTRICT b,
                        VBlock (&sums)[kRows][kTileVectors]) {
  const DBlock d;
  VBlock columns[kTileVectors];
  for (size_t v = 0; v < kTileVectors; ++v) {
    columns[v] = hn::Load(d, b + v * kLanes);
  }
  for (size_t r = 0; r < kRows; ++r) {
    const VBlock row = hn::Set(d, a[r]);
    for (size_t v = 0; v < kTileVectors; ++v) {
      sums[r][v] = hn::MulAdd(row, columns[v], sums[r][v]);
    }
  }
}

// c = from + the block's chains, for kRows of the packed rows and all columns
// of the panel. Each accumulator stays in a register.
template <size_t kRows>
HWY_NOINLINE void Tile(const float* HWY_RESTRICT rows,
                       const float* HWY_RESTRICT panel, size_t depth,
                       FloatRows<const float> from, FloatRows<float> c) {
  const DBlock d;
  for (size_t chain = 0; chain < kChains; ++chain) {
    const float* a = rows + chain * PackedChain(kTileRows, depth);
    const float* b = panel + chain * PanelChain(depth);
    VBlock sums[kRows][kTileVectors];
    for (size_t r = 0; r < kRows; ++r) {
      for (size_t v = 0; v < kTileVectors; ++v) sums[r][v] = hn::Zero(d);
    }
    for (size_t terms = ChainTerms(depth, chain); terms > 0; --terms) {
      AddTerm<kRows>(a, b, sums);
      a += kTileRows;
      b += kTileColumns;
    }
    // First all loads, then all stores: rows that are a multiple of 4 KiB apart
    // look like the same to the CPU.
    for (size_t r = 0; r < kRows; ++r) {
      for (size_t v = 0; v < kTileVectors; ++v) {
        const VBlock start =
            hn::LoadU(d, from.data + r * from.stride + v * kLanes);
        sums[r][v] = hn::Add(start, sums[r][v]);
      }
    }
    for (size_t r = 0; r < kRows; ++r) {
      for (size_t v = 0; v < kTileVectors; ++v) {
        hn::StoreU(sums[r][v], d, c.data + r * c.stride + v * kLanes);
      }
    }
    from = {c.data, c.stride};
  }
}

// The same for `count` rows: a third, two thirds or all of the packed ones.
HWY_INLINE void TileOf(size_t count, const float* rows, const float* panel,
                       size_t depth, FloatRows<const float> from,
                       FloatRows<float> c) {
  if (count == kTileRows) return Tile<kTileRows>(rows, panel, depth, from, c);
  if (count == kTileRows / 3) {
    return Tile<kTileRows / 3>(rows, panel, depth, from, c);
  }
  Tile<kTileRows / 3 * 2>(rows, panel, depth, from, c);
}

// Some of the rows and columns of a tile, by way of a copy.
inline HWY_NOINLINE void PartOfTile(size_t count, size_t columns,
                                    const float* rows, const float* panel,
                                    size_t depth, FloatRows<const float> from,
                                    FloatRows<float> c) {
  HWY_ALIGN float copy[kTileRows * kTileColumns] = {};
  for (size_t r = 0; r < count; ++r) {
    std::copy_n(from.data + r * from.stride, columns, copy + r * kTileColumns);
  }
  constexpr size_t kThird = kTileRows / 3;
  TileOf((count + kThird - 1) / kThird * kThird, rows, panel, depth,
         {copy, kTileColumns}, {copy, kTileColumns});
  for (size_t r = 0; r < count; ++r) {
    std::copy_n(copy + r * kTileColumns, columns, c.data + r * c.stride);
  }
}

template <typename T>
HWY_NOINLINE void MultiplyPart(const FloatGemmJob& job, size_t n, size_t count,
                               size_t first, size_t tiles) {
  const FloatGemmArguments& g = job.arguments;
  HWY_ALIGN float panel[kChains * PanelChain(kDepth)];
  HWY_ALIGN float zeros[kTileColumns] = {};
  const size_t end = n + count;
  for (; n < end; n += kTileColumns) {
    const size_t columns = std::min(kTileColumns, end - n);
    const float* packed = job.packed;
    for (size_t j = 0; j < job.depth; j += kDepth) {
      const size_t depth = std::min(kDepth, job.depth - j);
      PackColumns<T>(g.b, n, end, job.column + j, depth, panel);
      const bool begins = job.column + j == 0 && !g.accumulate;
      for (size_t t = first; t < first + tiles; ++t) {
        const size_t row = t * kTileRows;
        const size_t rows = std::min(kTileRows, job.rows - row);
        const FloatRows<float> c = {g.c + (job.row + row) * g.c_stride + n,
                                    g.c_stride};
        FloatRows<const float> from = {c.data, c.stride};
        if (begins) from = {g.bias == nullptr ? zeros : g.bias + n, 0};
        const float* tile = packed + t * PackedTile(kTileRows, depth);
        if (columns == kTileColumns && rows % (kTileRows / 3) == 0) {
          TileOf(rows, tile, panel, depth, from, c);
        } else {
          // Zeros are as long as a tile is wide, biases need not be.
          PartOfTile(rows, columns, tile, panel, depth, from, c);
        }
      }
      packed += job.tiles * PackedTile(kTileRows, depth);
    }
  }
}

template <typename T>
HWY_NOINLINE void PackPart(const FloatGemmJob& job, size_t first,
                           size_t count) {
  float* packed = job.packed;
  for (size_t j = 0; j < job.depth; j += kDepth) {
    const size_t depth = std::min(kDepth, job.depth - j);
    PackRows<T>(job.arguments.a, job.row + first * kTileRows,
                job.row + job.rows, count, job.column + j, depth,
                packed + first * PackedTile(kTileRows, depth));
    packed += job.tiles * PackedTile(kTileRows, depth);
  }
}

}  // namespace lutra::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
