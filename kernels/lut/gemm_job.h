#ifndef LUTRA_KERNELS_LUT_GEMM_JOB_H_
#define LUTRA_KERNELS_LUT_GEMM_JOB_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "kernels/format/layout.h"
#include "kernels/target/kernel_tables.h"
#include "lutra/kernels/gemm.h"

// What one call of Gemm hands to the kernels of an instruction set.

namespace lutra::kernels {

// Largest number of tokens in a tile of vectors: eight accumulators for each of
// two vectors of rows leave 16 of 32 registers for everything else.
inline constexpr size_t kVectorTileTokens = 8;
// And in one of tile registers, see amx_gemm-inl.h.
inline constexpr size_t kMaxTileTokens = 32;

// Numbers that a group has in every row: where they are in a blob.
struct GroupNumbers {
  ScaleType type;
  size_t at;        // bytes from the group
  size_t super_at;  // and of their super scales from those of the span
};

// Activations are stored for tiles of `width` consecutive tokens, and columns
// with zeros inserted so that each group starts with a unit:
//   values   int8 [tile][padded_k / c][width][c], c = ValueColumns() (4 to 64)
//   floats   float [tile][padded_k][width]
//   starts, group_scales, group_sums   [tile][group][width]
// Tokens interleaved like this are read as one stream; rows of x that are a
// power of two apart would fall into the same cache sets.
struct GemmJob {
  const LutMatrix* w = nullptr;
  const KernelSet* kernels = nullptr;  // nullptr: the reference
  ActivationType type = ActivationType::kInt8Asymmetric;
  GemmArguments arguments;  // with relu and relu6 as clamps
  size_t width = 0;
  bool needs_prefetch = false;  // CpuNeedsPrefetch()
  // Whether the arrays are those of an earlier job, which prepares them.
  bool shares_activations = false;

  int8_t* values = nullptr;
  // What the accumulators of a group start with: the correction for a table
  // that was made unsigned, table_min * (sum of the group's values).
  int32_t* starts = nullptr;
  float* token_scales = nullptr;  // [m]
  float* token_zeros = nullptr;   // [m], 0 if symmetric
  float* floats = nullptr;
  // Where activations have a scale per group, else nullptr.
  float* group_scales = nullptr;
  // What the offsets of a group are multiplied with, the sum of its values (for
  // int8, those of `values`, times the scale where there is one per group), or
  // nullptr where weights have no offsets.
  float* group_sums = nullptr;

  // First column of `group` in x, and how many there are.
  size_t FirstColumn(size_t group) const {
    return group * w->format.group_size;
  }
  size_t Columns(size_t group) const {
    return std::min<size_t>(w->format.group_size,
                            w->format.k - FirstColumn(group));
  }
  size_t PaddedColumns(size_t group) const {
    return group + 1 < w->geometry.groups ? w->geometry.padded_group
                                          : w->geometry.padded_last;
  }
  // Of token `token` and group `group` in the arrays [tile][group][width].
  size_t GroupPlace(size_t token, size_t group) const {
    return (token / width * w->geometry.groups + group) * width + token % width;
  }
  GroupNumbers Scales() const { return {w->format.scale_type, 0, 0}; }
  GroupNumbers Offsets() const {
    return {StorageOf(w->format.offset_type), w->geometry.offsets,
            w->geometry.super_offsets};
  }
  const uint8_t* RowBlock(size_t block) const {
    return w->row_blocks + block * w->geometry.row_block_bytes;
  }
  const uint8_t* Group(const uint8_t* row_block, size_t group) const {
    return row_block + w->geometry.first_group +
           group * w->geometry.group_stride;
  }
};

// The arguments with relu and relu6 as clamps.
inline GemmArguments WithSimpleFusion(GemmArguments arguments) {
  if (arguments.fusion == Fusion::kRelu || arguments.fusion == Fusion::kRelu6) {
    arguments.clamp_min = 0;
    arguments.clamp_max = arguments.fusion == Fusion::kRelu6
                              ? 6.0f
                              : std::numeric_limits<float>::infinity();
    arguments.fusion = Fusion::kClamp;
  }
  return arguments;
}

// What Gemm does before it multiplies, for measuring it alone: same arguments.
void PrepareActivations(const LutMatrix& w, ActivationType activation_type,
                        const GemmArguments& arguments, void* scratch,
                        Executor* executor) noexcept;

// Row blocks that a panel of decoded weights joins. With two, every broadcast
// activation is used twice.
inline constexpr size_t kPanelBlocks = 2;
inline constexpr size_t kPanelRows = kPanelBlocks * kBlockRows;
// Tokens that share a decoded panel. Decoding costs about three instructions
// per vector, 1/20 of the 64 dot products it then feeds; their sums,
// 64 x 32 floats, fill 8 KiB of L1.
inline constexpr size_t kTokenBlock = 64;

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_LUT_GEMM_JOB_H_
