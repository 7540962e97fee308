// A tile of the GEMM on CPUs that multiply 2 rows x 8 columns by 8 columns x 2
// tokens in one instruction, twice the work of a dot product.
//
// Each block of 16 bytes of a decoded tile has 4 rows x 4 columns. With the
// same rows of the next tile it is rearranged, in place, to rows 0 and 1 x 8
// columns and rows 2 and 3. Activations are stored by 8 columns. The sums, 2
// rows x 2 tokens in a block, are put in order once a group.
//
// Included once for each variant that has the instruction.

#include <cstring>

#include "hwy/highway.h"
#include "kernels/lut/decode-inl.h"
#include "kernels/lut/panel-inl.h"

LUTRA_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE::LUTRA_EXTENSION {

// Rearranges `tiles` tiles of the panel, an even number.
inline void ZipTiles(uint8_t* HWY_RESTRICT panel, size_t tiles) {
  const DU8 d8;
  const DI32 d32;
  const size_t lanes = hn::Lanes(d8);
  for (size_t t = 0; t < tiles; t += 2) {
    uint8_t* const first = panel + t * kPanelTileBytes;
    uint8_t* const second = first + kPanelTileBytes;
    for (size_t i = 0; i < kPanelTileBytes; i += lanes) {
      const VI32 a = hn::BitCast(d32, hn::Load(d8, first + i));
      const VI32 b = hn::BitCast(d32, hn::Load(d8, second + i));
      hn::Store(hn::BitCast(d8, hn::InterleaveLower(d32, a, b)), d8, first + i);
      hn::Store(hn::BitCast(d8, hn::InterleaveUpper(d32, a, b)), d8,
                second + i);
    }
  }
}

// The starts of a pair of tokens, for both rows of each block.
template <bool kBoth>
HWY_INLINE VI32 PairOfStarts(const int32_t* starts) {
  const hn::Repartition<int64_t, DI32> d64;
  int32_t two[2] = {starts[0], starts[kBoth ? 1 : 0]};
  int64_t both;
  std::memcpy(&both, two, sizeof(both));
  return hn::BitCast(DI32(), hn::Set(d64, both));
}

// Eight columns of a pair of tokens in every block. Without a second token, the
// first stands in for it.
template <bool kBoth>
HWY_INLINE VU8 PairOfValues(const int8_t* values) {
  if constexpr (kBoth) {
    return hn::LoadDup128(DU8(), reinterpret_cast<const uint8_t*>(values));
  } else {
    const hn::Repartition<int64_t, DI32> d64;
    int64_t eight;
    std::memcpy(&eight, values, sizeof(eight));
    return hn::BitCast(DU8(), hn::Set(d64, eight));
  }
}

// Puts sums in order: of one token in `first`, of the other in `second`.
HWY_INLINE void SplitTokens(VI32 low, VI32 high, VI32& first, VI32& second) {
  const DI32 d;
  const VI32 even = hn::InterleaveLower(d, low, high);
  const VI32 odd = hn::InterleaveUpper(d, low, high);
  first = hn::InterleaveLower(d, even, odd);
  second = hn::InterleaveUpper(d, even, odd);
}

// As MultiplyTile. Pair i has tokens 2i and 2i + 1 and four vectors of sums:
// of two vectors of rows, rows 0 and 1 of each block (l) and rows 2 and 3 (h).
#define LUTRA_EACH_PAIR(V) V(0) V(1) V(2) V(3)

template <size_t kTokens>
void MultiplyMatrixTile(const TileStep& step) {
  const DU8 d8;
  const DI32 d32;
  const DF32 df;
  const size_t lanes = hn::Lanes(d32);
  for (size_t row = 0; row < kPanelRows; row += 2 * lanes) {
#define LUTRA_DEFINE(i)       \
  VI32 al##i = hn::Zero(d32); \
  VI32 ah##i = al##i;         \
  VI32 bl##i = al##i;         \
  VI32 bh##i = al##i;
    LUTRA_EACH_PAIR(LUTRA_DEFINE)
#undef LUTRA_DEFINE
    int32_t* HWY_RESTRICT dots = step.dots + row;
    if (step.first) {
#define LUTRA_START(i)                                                        \
  if constexpr (kTokens > 2 * i) {                                            \
    constexpr bool kBoth = kTokens > 2 * i + 1;                               \
    al##i = ah##i = bl##i = bh##i = PairOfStarts<kBoth>(step.starts + 2 * i); \
  }
      LUTRA_EACH_PAIR(LUTRA_START)
#undef LUTRA_START
    } else {
#define LUTRA_LOAD(i)                                 \
  if constexpr (kTokens > 2 * i) {                    \
    const int32_t* from = dots + 2 * i * kPanelRows;  \
    al##i = hn::Load(d32, from);                      \
    bl##i = hn::Load(d32, from + lanes);              \
    ah##i = hn::Load(d32, from + kPanelRows);         \
    bh##i = hn::Load(d32, from + kPanelRows + lanes); \
  }
      LUTRA_EACH_PAIR(LUTRA_LOAD)
#undef LUTRA_LOAD
    }

    const uint8_t* HWY_RESTRICT panel = step.panel + row * kTileColumns;
    const int8_t* HWY_RESTRICT values = step.values;
    for (size_t q = 0; q < step.quads; q += 2) {
      const VU8 wal = hn::Load(d8, panel);
      const VU8 wbl = hn::Load(d8, panel + lanes * kTileColumns);
      const VU8 wah = hn::Load(d8, panel + kPanelTileBytes);
      const VU8 wbh =
          hn::Load(d8, panel + kPanelTileBytes + lanes * kTileColumns);
#define LUTRA_MULTIPLY(i)                                               \
  if constexpr (kTokens > 2 * i) {                                      \
    constexpr bool kBoth = kTokens > 2 * i + 1;                         \
    const VU8 x = PairOfValues<kBoth>(values + 2 * i * kMatrixColumns); \
    al##i = MatrixAccumulate(al##i, wal, x);                            \
    ah##i = MatrixAccumulate(ah##i, wah, x);                            \
    bl##i = MatrixAccumulate(bl##i, wbl, x);                            \
    bh##i = MatrixAccumulate(bh##i, wbh, x);                            \
  }
      LUTRA_EACH_PAIR(LUTRA_MULTIPLY)
#undef LUTRA_MULTIPLY
      panel += 2 * kPanelTileBytes;
      values += step.stride;
    }

    if (!step.last) {
#define LUTRA_STORE(i)                              \
  if constexpr (kTokens > 2 * i) {                  \
    int32_t* to = dots + 2 * i * kPanelRows;        \
    hn::Store(al##i, d32, to);                      \
    hn::Store(bl##i, d32, to + lanes);              \
    hn::Store(ah##i, d32, to + kPanelRows);         \
    hn::Store(bh##i, d32, to + kPanelRows + lanes); \
  }
      LUTRA_EACH_PAIR(LUTRA_STORE)
#undef LUTRA_STORE
      continue;
    }
    const VF32 scales_a = hn::Load(df, step.scales + row);
    const VF32 scales_b = hn::Load(df, step.scales + row + lanes);
    float* HWY_RESTRICT sums = step.sums + row;
#define LUTRA_END(i)                                     \
  if constexpr (kTokens > 2 * i) {                       \
    VI32 a0 = al##i, a1 = al##i, b0 = al##i, b1 = al##i; \
    SplitTokens(al##i, ah##i, a0, a1);                   \
    SplitTokens(bl##i, bh##i, b0, b1);                   \
    float* to = sums + 2 * i * kPanelRows;               \
    AddScaled(a0, scales_a, to);                         \
    AddScaled(b0, scales_b, to + lanes);                 \
    if constexpr (kTokens > 2 * i + 1) {                 \
      AddScaled(a1, scales_a, to + kPanelRows);          \
      AddScaled(b1, scales_b, to + kPanelRows + lanes);  \
    }                                                    \
  }
#define LUTRA_END_WITH_FACTOR(i)                            \
  if constexpr (kTokens > 2 * i) {                          \
    VI32 a0 = al##i, a1 = al##i, b0 = al##i, b1 = al##i;    \
    SplitTokens(al##i, ah##i, a0, a1);                      \
    SplitTokens(bl##i, bh##i, b0, b1);                      \
    float* to = sums + 2 * i * kPanelRows;                  \
    const float f0 = step.factors[2 * i];                   \
    AddScaled(a0, f0, scales_a, to);                        \
    AddScaled(b0, f0, scales_b, to + lanes);                \
    if constexpr (kTokens > 2 * i + 1) {                    \
      const float f1 = step.factors[2 * i + 1];             \
      AddScaled(a1, f1, scales_a, to + kPanelRows);         \
      AddScaled(b1, f1, scales_b, to + kPanelRows + lanes); \
    }                                                       \
  }
    if (step.factors == nullptr) {
      LUTRA_EACH_PAIR(LUTRA_END)
    } else {
      LUTRA_EACH_PAIR(LUTRA_END_WITH_FACTOR)
    }
#undef LUTRA_END_WITH_FACTOR
#undef LUTRA_END
  }
}
#undef LUTRA_EACH_PAIR

}  // namespace lutra::kernels::HWY_NAMESPACE::LUTRA_EXTENSION
LUTRA_AFTER_NAMESPACE();
