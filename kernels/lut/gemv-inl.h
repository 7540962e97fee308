// What the GEMVs share: row blocks, alone or in pairs, strip by strip.
//
// Included once for each variant, see int8_variant-inl.h, so that it is
// compiled with the attributes of the strips it inlines.

#include "hwy/highway.h"
#include "kernels/lut/decode-inl.h"
#include "kernels/lut/finish-inl.h"
#include "kernels/target/hwy_compat-inl.h"

LUTRA_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE::LUTRA_EXTENSION {

// Whether two row blocks are multiplied at the same time: they are independent
// work and share the broadcasts of activations. Needs the registers; on
// WebAssembly it pays with fewer, as there it takes four operations to prepare
// a broadcast for the multiplication.
inline constexpr bool kGemvPairs = LUTRA_REGISTERS == 32 || HWY_ARCH_WASM;

// A row block and its sums over all groups.
struct GemvBlock {
  const uint8_t* bytes;
  DecodeTables tables;
  alignas(64) float sums[kBlockRows];
};

// Writes the outputs of a block, before the fused function. Not inlined: every
// GEMV would have its own copy.
template <bool kQuantized>
HWY_NOINLINE void FinishBlock(const GemmJob& job, size_t block,
                              const GemvBlock& b) {
  const DF32 d;
  const size_t row = block * kBlockRows;
  const size_t rows = std::min<size_t>(kBlockRows, job.w->format.n - row);
  const bool whole = rows == kBlockRows;
  const float* row_sums = reinterpret_cast<const float*>(b.bytes);
  const float* bias = job.arguments.bias;
  float* const y = job.arguments.y + row;
  alignas(64) float last_bias[kBlockRows];
  alignas(64) float last_y[kBlockRows];
  if (bias != nullptr) {
    bias += row;
    if (!whole) {
      std::memset(last_bias, 0, sizeof(last_bias));
      std::memcpy(last_bias, bias, rows * sizeof(float));
      bias = last_bias;
    }
  }
  float* const to = whole ? y : last_y;
  for (size_t r = 0; r < kBlockRows; r += hn::Lanes(d)) {
    hn::StoreU(FinishRows<kQuantized>(job, 0, hn::Load(d, b.sums + r),
                                      NormalOrZero(hn::Load(d, row_sums + r)),
                                      bias == nullptr ? nullptr : bias + r),
               d, to + r);
  }
  if (!whole) std::memcpy(y, last_y, rows * sizeof(float));
}

// Computes y for `count` row blocks from `first` on.
// Strip::Multiply<kPair>(job, at, a, b) computes the sums of the strip that
// starts at byte `at` of a tile, of block `a` and, if kPair, `b`. Table entries
// become entry - bias.
template <class Strip>
void GemvRowBlocks(const GemmJob& job, size_t first, size_t count,
                   int8_t bias) {
  GemvBlock a;
  GemvBlock b;
  if (!Strip::kRowTables) PrepareTables(*job.w, nullptr, bias, &a.tables);
  // Pairs come from both halves of the range, so that each is a long stream:
  // streams that end after a row block halved the speed with cold weights.
  const size_t half = kGemvPairs ? count / 2 : 0;
  for (size_t i = half; i < count; ++i) {
    const size_t block = first + i;
    const bool pair = i < 2 * half;
    a.bytes = job.RowBlock(block);
    b.bytes = job.RowBlock(pair ? block - half : block);
    if (Strip::kRowTables) {
      PrepareTables(*job.w, a.bytes, bias, &a.tables);
      PrepareTables(*job.w, b.bytes, bias, &b.tables);
    }
    for (size_t at = 0; at < kTileBytes; at += hn::Lanes(DU8())) {
      if (kGemvPairs && pair) {
        Strip::template Multiply<kGemvPairs>(job, at, a, b);
      } else {
        Strip::template Multiply<false>(job, at, a, b);
      }
    }
    FinishBlock<Strip::kQuantized>(job, block, a);
    if (pair) FinishBlock<Strip::kQuantized>(job, block - half, b);
  }
  const size_t row = first * kBlockRows;
  EndRows(job.arguments, 0, 1, row,
          std::min(count * kBlockRows, job.w->format.n - row));
}

}  // namespace lutra::kernels::HWY_NAMESPACE::LUTRA_EXTENSION
LUTRA_AFTER_NAMESPACE();
