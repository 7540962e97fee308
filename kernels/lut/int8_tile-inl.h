// The multiplication of the GEMM: a decoded panel and a tile of tokens.
//
// Included once for each variant, see int8_variant-inl.h.

#include "hwy/highway.h"
#include "kernels/lut/decode-inl.h"
#include "kernels/lut/panel-inl.h"

LUTRA_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE::LUTRA_EXTENSION {

// A step of one group and a tile of tokens.
struct TileStep {
  const uint8_t* panel;
  size_t quads;          // columns / 4
  const int8_t* values;  // of the tile, at the step's first column
  size_t stride;         // bytes between runs of columns of `values`
  const int32_t* starts;
  bool first;  // step of the group
  bool last;
  const float* scales;  // of the group
  // Scale of the group's activations for each token, or nullptr.
  const float* factors;
  float* sums;    // [tokens, kPanelRows]
  int32_t* dots;  // the same, between the steps of a group
};

// sums += float(dots) * scales, rounded after each operation.
HWY_INLINE void AddScaled(VI32 dots, VF32 scales, float* HWY_RESTRICT sums) {
  const DF32 d;
  const VF32 product = hn::Mul(hn::ConvertTo(d, dots), scales);
  hn::Store(hn::Add(hn::Load(d, sums), product), d, sums);
}

// The same with float(dots) * factor.
HWY_INLINE void AddScaled(VI32 dots, float factor, VF32 scales,
                          float* HWY_RESTRICT sums) {
  const DF32 d;
  const VF32 product = hn::Mul(hn::ConvertTo(d, dots), hn::Set(d, factor));
  hn::Store(hn::Add(hn::Load(d, sums), hn::Mul(product, scales)), d, sums);
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
#define LUTRA_END_WITH_FACTOR(i)                                 \
  if constexpr (kTokens > i) {                                   \
    const float f = step.factors[i];                             \
    AddScaled(a##i, f, scales_a, sums + i * kPanelRows);         \
    AddScaled(b##i, f, scales_b, sums + i * kPanelRows + lanes); \
  }
    if (step.factors == nullptr) {
      LUTRA_EACH_TOKEN(LUTRA_END)
    } else {
      LUTRA_EACH_TOKEN(LUTRA_END_WITH_FACTOR)
    }
#undef LUTRA_END_WITH_FACTOR
#undef LUTRA_END
  }
}
#undef LUTRA_EACH_TOKEN

}  // namespace lutra::kernels::HWY_NAMESPACE::LUTRA_EXTENSION
LUTRA_AFTER_NAMESPACE();
