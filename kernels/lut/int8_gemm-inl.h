// Several tokens: a panel of weights is decoded once and multiplied with the
// tokens of a block, a tile of tokens at a time.
//
// Included once for each variant, see int8_variant-inl.h.

#include "hwy/highway.h"
#include "kernels/lut/decode-inl.h"
#include "kernels/lut/finish-inl.h"
#include "kernels/lut/panel-inl.h"
#include "kernels/target/hwy_compat-inl.h"

LUTRA_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE::LUTRA_EXTENSION {

inline constexpr size_t kTileTokens =
    LUTRA_REGISTERS == 32 ? kVectorTileTokens : kVectorTileTokens / 2;

using MultiplyTileFunction = void (*)(const TileStep&);

// The function for a tile of `tokens`, 1 to kTileTokens.
template <bool kPairsFit, size_t kTokens = kTileTokens>
MultiplyTileFunction FindMultiplyTile(size_t tokens) {
  if constexpr (kTokens > 1) {
    if (tokens != kTokens) {
      return FindMultiplyTile<kPairsFit, kTokens - 1>(tokens);
    }
  }
#if LUTRA_MATRIX
  return MultiplyMatrixTile<kTokens>;
#else
  return MultiplyTile<kPairsFit, kTokens>;
#endif
}

template <bool kPairsFit>
void GemmPanel(const GemmJob& job, size_t panel, size_t first, size_t count) {
  PanelSource source;
  PreparePanel(job, panel, kSignedTables ? int8_t{0} : job.w->table_min,
               &source);
  PanelEnd panel_end;
  PreparePanelEnd(job, source.blocks[0], source.blocks[1], panel * kPanelRows,
                  &panel_end);
  const size_t tile_tokens = job.width;
  const MultiplyTileFunction multiply =
      FindMultiplyTile<kPairsFit>(tile_tokens);
  const size_t rest = count % tile_tokens;
  const MultiplyTileFunction multiply_rest =
      rest == 0 ? nullptr : FindMultiplyTile<kPairsFit>(rest);

  alignas(64) uint8_t decoded[kStepColumns / kTileColumns * kPanelTileBytes];
  alignas(64) float sums[kTokenBlock * kPanelRows];
  alignas(64) int32_t dots[kTokenBlock * kPanelRows];
  alignas(64) float scales[kPanelRows];
  std::memset(sums, 0, count * kPanelRows * sizeof(float));
  TileStep step;
  step.panel = decoded;
  step.stride = tile_tokens * ValueColumns(job);
  step.scales = scales;
  for (size_t g = 0; g < job.w->geometry.groups; ++g) {
    LoadPanelNumbers(job, source, job.Scales(), g, scales);
    const size_t columns = job.PaddedColumns(g);
    for (size_t c = 0; c < columns; c += kStepColumns) {
      const size_t step_columns = std::min(kStepColumns, columns - c);
      DecodePanel(job, source, g, c, step_columns, decoded);
      step.quads = step_columns / kTileColumns;
#if LUTRA_MATRIX
      ZipTiles(decoded, step.quads);
#endif
      step.first = c == 0;
      step.last = c + step_columns == columns;
      for (size_t t = 0; t < count; t += tile_tokens) {
        const size_t tile = (first + t) / tile_tokens;
        step.values = job.values +
                      tile * tile_tokens * job.w->geometry.padded_k +
                      (g * job.w->geometry.padded_group + c) * tile_tokens;
        const size_t place = job.GroupPlace(first + t, g);
        step.starts = job.starts + place;
        step.factors =
            job.group_scales == nullptr ? nullptr : job.group_scales + place;
        step.sums = sums + t * kPanelRows;
        step.dots = dots + t * kPanelRows;
        (count - t < tile_tokens ? multiply_rest : multiply)(step);
      }
    }
    if (job.group_sums != nullptr) {
      AddOffsets<true>(job, source, g, first, count, sums);
    }
  }
  FinishTokens<true>(job, panel_end, sums, first, count);
}

void Gemm(const GemmJob& job, size_t panel, size_t first, size_t count) {
  if constexpr (!kHasDot) {
    if (!PairsFit(job)) return GemmPanel<false>(job, panel, first, count);
  }
  GemmPanel<true>(job, panel, first, count);
}

}  // namespace lutra::kernels::HWY_NAMESPACE::LUTRA_EXTENSION
LUTRA_AFTER_NAMESPACE();
