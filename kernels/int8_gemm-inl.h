// Several tokens: a panel of weights is decoded once and multiplied with the
// tokens of a block, a tile of tokens at a time.
//
// Included once for each variant, see int8_variant-inl.h.

#include "hwy/highway.h"
#include "kernels/decode-inl.h"
#include "kernels/finish-inl.h"
#include "kernels/hwy_compat-inl.h"
#include "kernels/panel-inl.h"

LUTRA_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE::LUTRA_EXTENSION {

inline constexpr size_t kTileTokens =
    LUTRA_REGISTERS == 32 ? kMaxTileTokens : kMaxTileTokens / 2;

// Columns of a panel: 32 rows x 256 columns take 8 KiB of L1, beside 8 KiB of
// sums. Groups that are larger are multiplied in several steps.
inline constexpr size_t kStepColumns = 256;

// A step of one group and a tile of tokens.
struct TileStep {
  const uint8_t* panel;
  size_t quads;          // columns / 4
  const int8_t* values;  // of the tile, at the step's first column
  size_t stride;         // bytes between quads of columns of `values`
  const int32_t* starts;
  bool first;  // step of the group
  bool last;
  const float* scales;  // of the group
  float* sums;          // [tokens, kPanelRows]
  int32_t* dots;        // the same, between the steps of a group
};

// sums += float(dots) * scales, rounded after each operation.
HWY_INLINE void AddScaled(VI32 dots, VF32 scales, float* HWY_RESTRICT sums) {
  const DF32 d;
  const VF32 product = hn::Mul(hn::ConvertTo(d, dots), scales);
  hn::Store(hn::Add(hn::Load(d, sums), product), d, sums);
}

// Multiplies kTokens tokens with two vectors of rows at a time. Compilers keep
// the accumulators in registers only if each has a name.
#define LUTRA_EACH_TOKEN(V) V(0) V(1) V(2) V(3) V(4) V(5) V(6) V(7)

template <bool kPairsFit, size_t kTokens>
void MultiplyTile(const TileStep& step) {
  const DU8 d8;
  const DI32 d32;
  const DF32 df;
  const size_t lanes = hn::Lanes(d32);
  for (size_t row = 0; row < kPanelRows; row += 2 * lanes) {
#define LUTRA_DEFINE(i)      \
  VI32 a##i = hn::Zero(d32); \
  VI32 b##i = a##i;
    LUTRA_EACH_TOKEN(LUTRA_DEFINE)
#undef LUTRA_DEFINE
    int32_t* HWY_RESTRICT dots = step.dots + row;
    if (step.first) {
#define LUTRA_START(i)                          \
  if constexpr (kTokens > i) {                  \
    a##i = b##i = hn::Set(d32, step.starts[i]); \
  }
      LUTRA_EACH_TOKEN(LUTRA_START)
#undef LUTRA_START
    } else {
#define LUTRA_LOAD(i)                                    \
  if constexpr (kTokens > i) {                           \
    a##i = hn::Load(d32, dots + i * kPanelRows);         \
    b##i = hn::Load(d32, dots + i * kPanelRows + lanes); \
  }
      LUTRA_EACH_TOKEN(LUTRA_LOAD)
#undef LUTRA_LOAD
    }

    const uint8_t* HWY_RESTRICT panel = step.panel + row * kTileColumns;
    const int8_t* HWY_RESTRICT values = step.values;
    for (size_t q = 0; q < step.quads; ++q) {
      const VU8 wa = hn::Load(d8, panel);
      const VU8 wb = hn::Load(d8, panel + lanes * kTileColumns);
#define LUTRA_MULTIPLY(i)                                 \
  if constexpr (kTokens > i) {                            \
    const VI32 x = FourValues(values + i * kTileColumns); \
    a##i = DotAccumulate<kPairsFit>(d32, a##i, wa, x);    \
    b##i = DotAccumulate<kPairsFit>(d32, b##i, wb, x);    \
  }
      LUTRA_EACH_TOKEN(LUTRA_MULTIPLY)
#undef LUTRA_MULTIPLY
      panel += kPanelTileBytes;
      values += step.stride;
    }

    if (!step.last) {
#define LUTRA_STORE(i)                                   \
  if constexpr (kTokens > i) {                           \
    hn::Store(a##i, d32, dots + i * kPanelRows);         \
    hn::Store(b##i, d32, dots + i * kPanelRows + lanes); \
  }
      LUTRA_EACH_TOKEN(LUTRA_STORE)
#undef LUTRA_STORE
      continue;
    }
    const VF32 scales_a = hn::Load(df, step.scales + row);
    const VF32 scales_b = hn::Load(df, step.scales + row + lanes);
    float* HWY_RESTRICT sums = step.sums + row;
#define LUTRA_END(i)                                          \
  if constexpr (kTokens > i) {                                \
    AddScaled(a##i, scales_a, sums + i * kPanelRows);         \
    AddScaled(b##i, scales_b, sums + i * kPanelRows + lanes); \
  }
    LUTRA_EACH_TOKEN(LUTRA_END)
#undef LUTRA_END
  }
}
#undef LUTRA_EACH_TOKEN

using MultiplyTileFunction = void (*)(const TileStep&);

// The function for a tile of `tokens`, 1 to kTileTokens.
template <bool kPairsFit, size_t kTokens = kTileTokens>
MultiplyTileFunction FindMultiplyTile(size_t tokens) {
  if constexpr (kTokens > 1) {
    if (tokens != kTokens) {
      return FindMultiplyTile<kPairsFit, kTokens - 1>(tokens);
    }
  }
  return MultiplyTile<kPairsFit, kTokens>;
}

template <bool kPairsFit>
void GemmPanel(const GemmJob& job, size_t panel, size_t first, size_t count) {
  PanelSource source;
  PreparePanel(job, panel, kSignedTables ? int8_t{0} : job.w.table_min,
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
  step.stride = tile_tokens * kTileColumns;
  step.scales = scales;
  for (size_t g = 0; g < job.groups; ++g) {
    LoadPanelScales(job, source, g, scales);
    const size_t columns = job.PaddedColumns(g);
    for (size_t c = 0; c < columns; c += kStepColumns) {
      const size_t step_columns = std::min(kStepColumns, columns - c);
      DecodePanel(job, source, g, c, step_columns, decoded);
      step.quads = step_columns / kTileColumns;
      step.first = c == 0;
      step.last = c + step_columns == columns;
      for (size_t t = 0; t < count; t += tile_tokens) {
        const size_t tile = (first + t) / tile_tokens;
        step.values = job.values + tile * tile_tokens * job.padded_k +
                      (g * job.padded_group + c) * tile_tokens;
        step.starts = job.starts + (tile * job.groups + g) * tile_tokens;
        step.sums = sums + t * kPanelRows;
        step.dots = dots + t * kPanelRows;
        (count - t < tile_tokens ? multiply_rest : multiply)(step);
      }
    }
  }
  for (size_t t = 0; t < count; ++t) {
    FinishToken<true>(job, panel_end, sums + t * kPanelRows, first + t);
  }
}

void Gemm(const GemmJob& job, size_t panel, size_t first, size_t count) {
  if constexpr (!kHasDot) {
    if (!PairsFit(job)) return GemmPanel<false>(job, panel, first, count);
  }
  GemmPanel<true>(job, panel, first, count);
}

}  // namespace lutra::kernels::HWY_NAMESPACE::LUTRA_EXTENSION
HWY_AFTER_NAMESPACE();
