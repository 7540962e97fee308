#ifndef LUTRA_KERNELS_FLOAT_GEMM_JOB_H_
#define LUTRA_KERNELS_FLOAT_GEMM_JOB_H_

#include <cstddef>

#include "lutra/kernels/float_gemm.h"

// What one call of FloatGemm hands to the kernels of an instruction set.

namespace lutra::kernels {

// Whether this build has kernels for half floats (16 among LUTRA_BITS of
// CMake); others run the reference for them, with the same bits.
#ifdef LUTRA_BUILT_BITS
inline constexpr bool kHasHalfFloats = (LUTRA_BUILT_BITS >> 16 & 1) != 0;
#else
inline constexpr bool kHasHalfFloats = true;
#endif

// Of the definition in float_gemm.h.
inline constexpr size_t kDepth = 512;
inline constexpr size_t kChains = 4;

// Terms of chain `chain` in a block of `depth` columns.
constexpr size_t ChainTerms(size_t depth, size_t chain) {
  return (depth + kChains - 1 - chain) / kChains;
}

// Rows of a tile, for all instruction sets. Scratch is planned before one of
// them is chosen.
inline constexpr size_t kMinTileRows = 6;
inline constexpr size_t kMaxTileRows = 12;

// Tiles of a block of packed rows of `a` lie one after the other, each as
//   float [chain][terms of chain 0][rows of a tile], some floats more per chain
// because whole vectors are stored.
constexpr size_t PackedChain(size_t tile_rows, size_t depth) {
  return ChainTerms(depth, 0) * tile_rows + 4;
}
constexpr size_t PackedTile(size_t tile_rows, size_t depth) {
  return kChains * PackedChain(tile_rows, depth);
}

// A part of a product: rows [row, row + rows), which the caller has found room
// for, by columns [column, column + depth) of `a`.
struct FloatGemmJob {
  FloatGemmArguments arguments;
  size_t row = 0;
  size_t rows = 0;
  size_t column = 0;
  size_t depth = 0;
  float* packed = nullptr;  // [block][tile], see above
  size_t tiles = 0;
};

// The kernels of one instruction set.
struct FloatGemmKernels {
  size_t tile_rows;
  size_t tile_columns;
  bool fused;
  // Packs rows of tiles [first, first + count), all columns of the part.
  void (*pack)(const FloatGemmJob& job, size_t first, size_t count);
  // Takes the part into columns [n, n + count) of c, rows of tiles
  // [first, first + tiles). `n` is a multiple of the tile's columns.
  void (*multiply)(const FloatGemmJob& job, size_t n, size_t count,
                   size_t first, size_t tiles);
  // The whole sum of columns [n, n + count) of c in all rows, for a transposed
  // `b`; packs nothing.
  void (*dot)(const FloatGemmArguments& arguments, size_t n, size_t count);
};

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_FLOAT_GEMM_JOB_H_
