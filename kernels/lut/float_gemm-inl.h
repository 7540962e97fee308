// Float activations times dequantized weights.

#if defined(LUTRA_KERNELS_LUT_FLOAT_GEMM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LUTRA_KERNELS_LUT_FLOAT_GEMM_INL_H_
#undef LUTRA_KERNELS_LUT_FLOAT_GEMM_INL_H_
#else
#define LUTRA_KERNELS_LUT_FLOAT_GEMM_INL_H_
#endif

#include <cstring>

#include "hwy/highway.h"
#include "kernels/format/scale_types.h"
#include "kernels/lut/decode-inl.h"
#include "kernels/lut/finish-inl.h"
#include "kernels/lut/panel-inl.h"
#include "kernels/target/hwy_compat-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE {

inline constexpr size_t kTileTokens =
    LUTRA_REGISTERS == 32 ? kVectorTileTokens : kVectorTileTokens / 2;

// Columns of a step: 32 rows x 64 columns of floats take 8 KiB of L1. A step
// does not cross groups. Each output is a chain of multiply-adds over a step,
// then one more with the scale, whatever the number of tokens.
inline constexpr size_t kFloatStepColumns = 64;

struct FloatTileStep {
  const float* panel;  // [columns, kPanelRows]
  size_t columns;
  const float* values;  // of the tile, at the step's first column
  size_t stride;        // tokens of a tile
  const float* scales;
  float* sums;  // [tokens, kPanelRows]
};

#define LUTRA_EACH_TOKEN(V) V(0) V(1) V(2) V(3) V(4) V(5) V(6) V(7)

template <size_t kTokens>
void MultiplyTile(const FloatTileStep& step) {
  const DF32 d;
  const size_t lanes = hn::Lanes(d);
  for (size_t row = 0; row < kPanelRows; row += 2 * lanes) {
#define LUTRA_START(i)     \
  VF32 a##i = hn::Zero(d); \
  VF32 b##i = a##i;
    LUTRA_EACH_TOKEN(LUTRA_START)
#undef LUTRA_START
    const float* HWY_RESTRICT panel = step.panel + row;
    const float* HWY_RESTRICT values = step.values;
    for (size_t k = 0; k < step.columns; ++k) {
      const VF32 wa = hn::Load(d, panel);
      const VF32 wb = hn::Load(d, panel + lanes);
#define LUTRA_MULTIPLY(i)                 \
  if constexpr (kTokens > i) {            \
    const VF32 x = hn::Set(d, values[i]); \
    a##i = hn::MulAdd(wa, x, a##i);       \
    b##i = hn::MulAdd(wb, x, b##i);       \
  }
      LUTRA_EACH_TOKEN(LUTRA_MULTIPLY)
#undef LUTRA_MULTIPLY
      panel += kPanelRows;
      values += step.stride;
    }
    const VF32 scales_a = hn::Load(d, step.scales + row);
    const VF32 scales_b = hn::Load(d, step.scales + row + lanes);
#define LUTRA_END(i)                                                    \
  if constexpr (kTokens > i) {                                          \
    float* HWY_RESTRICT sums = step.sums + i * kPanelRows + row;        \
    hn::Store(hn::MulAdd(a##i, scales_a, hn::Load(d, sums)), d, sums);  \
    hn::Store(hn::MulAdd(b##i, scales_b, hn::Load(d, sums + lanes)), d, \
              sums + lanes);                                            \
  }
    LUTRA_EACH_TOKEN(LUTRA_END)
#undef LUTRA_END
  }
}
#undef LUTRA_EACH_TOKEN

using MultiplyTileFunction = void (*)(const FloatTileStep&);

template <size_t kTokens = kTileTokens>
MultiplyTileFunction FindMultiplyTile(size_t tokens) {
  if constexpr (kTokens > 1) {
    if (tokens != kTokens) return FindMultiplyTile<kTokens - 1>(tokens);
  }
  return MultiplyTile<kTokens>;
}

// One column of four from the signed bytes of `quads`.
template <int kColumn>
HWY_INLINE VF32 EntriesOfColumn(VI32 quads) {
  return hn::ConvertTo(
      DF32(), hn::ShiftRight<24>(hn::ShiftLeft<24 - 8 * kColumn>(quads)));
}

// Decoded bytes to floats [columns, kPanelRows].
inline void ConvertPanel(const uint8_t* HWY_RESTRICT bytes, size_t columns,
                         float* HWY_RESTRICT panel) {
  const DI32 d;
  const size_t lanes = hn::Lanes(d);
  for (size_t c = 0; c < columns; c += kTileColumns) {
    for (size_t row = 0; row < kPanelRows; row += lanes) {
      const VI32 quads =
          hn::BitCast(d, hn::Load(DU8(), bytes + row * kTileColumns));
      hn::Store(EntriesOfColumn<0>(quads), DF32(), panel + row);
      hn::Store(EntriesOfColumn<1>(quads), DF32(), panel + row + kPanelRows);
      hn::Store(EntriesOfColumn<2>(quads), DF32(),
                panel + row + 2 * kPanelRows);
      hn::Store(EntriesOfColumn<3>(quads), DF32(),
                panel + row + 3 * kPanelRows);
    }
    bytes += kPanelTileBytes;
    panel += kTileColumns * kPanelRows;
  }
}

void FloatGemm(const GemmJob& job, size_t panel, size_t first, size_t count) {
  PanelSource source;
  PreparePanel(job, panel, 0, &source);
  PanelEnd panel_end;
  PreparePanelEnd(job, source.blocks[0], source.blocks[1], panel * kPanelRows,
                  &panel_end);
  const size_t tile_tokens = job.width;
  const MultiplyTileFunction multiply = FindMultiplyTile(tile_tokens);
  const size_t rest = count % tile_tokens;
  const MultiplyTileFunction multiply_rest =
      rest == 0 ? nullptr : FindMultiplyTile(rest);

  alignas(64) uint8_t bytes[kFloatStepColumns / kTileColumns * kPanelTileBytes];
  alignas(64) float decoded[kFloatStepColumns * kPanelRows];
  alignas(64) float sums[kTokenBlock * kPanelRows];
  alignas(64) float scales[kPanelRows];
  std::memset(sums, 0, count * kPanelRows * sizeof(float));
  FloatTileStep step;
  step.panel = decoded;
  step.stride = tile_tokens;
  step.scales = scales;
  for (size_t g = 0; g < job.w->geometry.groups; ++g) {
    LoadPanelNumbers(job, source, job.Scales(), g, scales);
    const size_t columns = job.PaddedColumns(g);
    for (size_t c = 0; c < columns; c += kFloatStepColumns) {
      step.columns = std::min(kFloatStepColumns, columns - c);
      DecodePanel(job, source, g, c, step.columns, bytes);
      ConvertPanel(bytes, step.columns, decoded);
      for (size_t t = 0; t < count; t += tile_tokens) {
        step.values =
            job.floats +
            (first + t) / tile_tokens * tile_tokens * job.w->geometry.padded_k +
            (g * job.w->geometry.padded_group + c) * tile_tokens;
        step.sums = sums + t * kPanelRows;
        (count - t < tile_tokens ? multiply_rest : multiply)(step);
      }
    }
    if (job.group_sums != nullptr) {
      AddOffsets<false>(job, source, g, first, count, sums);
    }
  }
  FinishTokens<false>(job, panel_end, sums, first, count);
}

// Copies activations to their places between other tokens.
void Arrange(const GemmJob& job, size_t first, size_t count) {
  const size_t width = job.width;
  const bool round = Traits(job.type).is_rounded;
  for (size_t token = first; token < first + count; ++token) {
    const float* x = job.arguments.x + token * job.arguments.x_stride;
    float* to = job.floats + token / width * width * job.w->geometry.padded_k +
                token % width;
    for (size_t g = 0; g < job.w->geometry.groups; ++g) {
      const float* HWY_RESTRICT from = x + job.FirstColumn(g);
      float* HWY_RESTRICT group = to + g * job.w->geometry.padded_group * width;
      const size_t columns = job.Columns(g);
      const size_t padded = job.PaddedColumns(g);
      if (round) {
        for (size_t c = 0; c < columns; ++c) {
          group[c * width] = RoundToBFloat16(from[c]);
        }
      } else {
        for (size_t c = 0; c < columns; ++c) group[c * width] = from[c];
      }
      for (size_t c = columns; c < padded; ++c) group[c * width] = 0;
      if (job.group_sums == nullptr) continue;
      float sum = 0;
      for (size_t c = 0; c < columns; ++c) sum += group[c * width];
      job.group_sums[job.GroupPlace(token, g)] = sum;
    }
  }
}

}  // namespace lutra::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
