#ifndef LUTRA_KERNELS_LUT_GEMM_JOB_H_
#define LUTRA_KERNELS_LUT_GEMM_JOB_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "kernels/format/layout.h"
#include "lutra/kernels/gemm.h"

// What one call of Gemm hands to the kernels of an instruction set.

namespace lutra::kernels {

// Largest number of tokens in a tile: eight accumulators for each of two
// vectors of rows leave 16 of 32 registers for everything else.
inline constexpr size_t kMaxTileTokens = 8;

// Columns of a token that lie together are at most this many, see dot-inl.h, so
// units are multiples of it.
inline constexpr size_t kMaxValueColumns = 8;
static_assert(UnitColumns(1) % kMaxValueColumns == 0 &&
              UnitColumns(2) % kMaxValueColumns == 0 &&
              UnitColumns(3) % kMaxValueColumns == 0 &&
              UnitColumns(4) % kMaxValueColumns == 0 &&
              UnitColumns(8) % kMaxValueColumns == 0);

// Activations are stored for tiles of `width` consecutive tokens, and columns
// with zeros inserted so that each group starts with a unit:
//   values   int8 [tile][padded_k / c][width][c], c = kValueColumns (4 or 8)
//   floats   float [tile][padded_k][width]
//   starts, group_scales, group_sums   [tile][group][width]
// Tokens interleaved like this are read as one stream; rows of x that are a
// power of two apart would fall into the same cache sets.
struct GemmJob {
  const LutMatrix* w = nullptr;
  ActivationType type = ActivationType::kInt8Asymmetric;
  GemmArguments arguments;  // with relu and relu6 as clamps
  size_t width = 0;
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
  // Whether a group gives more than its dot products times its scales.
  bool HasGroupTerms() const {
    return group_scales != nullptr || group_sums != nullptr;
  }
  // Of token `token` and group `group` in the arrays [tile][group][width].
  size_t GroupPlace(size_t token, size_t group) const {
    return (token / width * w->geometry.groups + group) * width + token % width;
  }
  const uint8_t* RowBlock(size_t block) const {
    return w->row_blocks + block * w->geometry.row_block_bytes;
  }
  const uint8_t* Group(const uint8_t* row_block, size_t group) const {
    return row_block + w->geometry.first_group +
           group * w->geometry.group_stride;
  }
};

constexpr bool IsFloat(ActivationType type) {
  return type == ActivationType::kFloat32 || type == ActivationType::kBFloat16;
}

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

// The kernels of one variant for int8 or for float activations.
struct KernelSet {
  size_t tile_tokens = 0;
  // Fills the arrays of the job that are not nullptr, for tokens
  // [first, first + count).
  void (*prepare)(const GemmJob& job, size_t first, size_t count) = nullptr;
  // y of the one token, rows of row blocks [first, first + count).
  void (*gemv)(const GemmJob& job, size_t first, size_t count) = nullptr;
  // y of tokens [first, first + count), at most kTokenBlock, where `first` is a
  // multiple of the width; rows of row blocks 2 * panel and 2 * panel + 1.
  void (*gemm)(const GemmJob& job, size_t panel, size_t first,
               size_t count) = nullptr;
  // Does `rounds` (not 0) rounds of the multiply-accumulate of these kernels on
  // registers, the peak of the variant; returns the number of operations (a
  // multiply and an add are two).
  double (*peak)(size_t rounds) = nullptr;
};

// What Gemm does before it multiplies, for measuring it alone: same arguments.
void PrepareActivations(const LutMatrix& w, ActivationType activation_type,
                        const GemmArguments& arguments, void* scratch,
                        pthreadpool_t pool) noexcept;

// Row blocks that a panel of decoded weights joins. With two, every broadcast
// activation is used twice.
inline constexpr size_t kPanelBlocks = 2;
inline constexpr size_t kPanelRows = kPanelBlocks * kBlockRows;
// Tokens that share a decoded panel. Decoding costs about three instructions
// per vector, 1/20 of the 64 dot products it then feeds; their sums,
// 64 x 32 floats, fill 8 KiB of L1.
inline constexpr size_t kTokenBlock = 64;

// A Highway target with one of its extensions, see dot-inl.h.
struct Int8Variant {
  const char* extension;   // follows the target's name
  bool (*is_supported)();  // by this CPU, if it supports the target
  const KernelSet* kernels;
};
inline constexpr size_t kExtensions = 3;

// nullptr where there are none; for a target without any the reference runs.
const Int8Variant* FindInt8Variant(int64_t target, size_t extension) noexcept;
const KernelSet* FindFloatKernels(int64_t target) noexcept;

// The Highway targets of this build, as bits.
int64_t CompiledTargets() noexcept;

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_LUT_GEMM_JOB_H_
