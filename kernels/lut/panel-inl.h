// Decoding of a panel: the weights of two row blocks and a run of columns.

#if defined(LUTRA_KERNELS_LUT_PANEL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LUTRA_KERNELS_LUT_PANEL_INL_H_
#undef LUTRA_KERNELS_LUT_PANEL_INL_H_
#else
#define LUTRA_KERNELS_LUT_PANEL_INL_H_
#endif

#include "hwy/highway.h"
#include "kernels/lut/decode-inl.h"
#include "kernels/lut/scales-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE {

// Columns of a panel: 32 rows x 256 columns take 8 KiB of L1, beside 8 KiB of
// sums. Groups that are larger are multiplied in several steps.
inline constexpr size_t kStepColumns = 256;
// Tiles of both row blocks side by side.
inline constexpr size_t kPanelTileBytes = kPanelBlocks * kTileBytes;

// Decodes `columns` (whole units) from `unit` on into tiles that are
// kPanelTileBytes apart.
template <size_t kBits, bool kRowTables>
void DecodeColumns(const uint8_t* HWY_RESTRICT unit, size_t columns,
                   const DecodeTables& tables, uint8_t* HWY_RESTRICT panel) {
  const DU8 d;
  for (size_t at = 0; at < kTileBytes; at += hn::Lanes(d)) {
    const VU8 t0 = hn::Load(d, tables.bytes[0] + at);
    const VU8 t1 = hn::Load(d, tables.bytes[1] + at);
    const VU8 t2 = hn::Load(d, tables.bytes[2] + at);
    const VU8 t3 = hn::Load(d, tables.bytes[3] + at);
    const uint8_t* from = unit + at;
    uint8_t* to = panel + at;
    for (size_t c = 0; c < columns; c += UnitColumns(kBits)) {
      // To come while this panel is multiplied.
      if (at == 0) PrefetchUnit<kBits>(from);
      VU8 v0 = hn::Zero(d);
      VU8 v1 = v0, v2 = v0, v3 = v0, v4 = v0, v5 = v0, v6 = v0, v7 = v0;
      DecodeUnit<kBits, kRowTables>(from, t0, t1, t2, t3, v0, v1, v2, v3, v4,
                                    v5, v6, v7);
      hn::Store(v0, d, to);
      hn::Store(v1, d, to + kPanelTileBytes);
      if constexpr (kUnitTiles<kBits> >= 4) {
        hn::Store(v2, d, to + 2 * kPanelTileBytes);
        hn::Store(v3, d, to + 3 * kPanelTileBytes);
      }
      if constexpr (kUnitTiles<kBits> == 8) {
        hn::Store(v4, d, to + 4 * kPanelTileBytes);
        hn::Store(v5, d, to + 5 * kPanelTileBytes);
        hn::Store(v6, d, to + 6 * kPanelTileBytes);
        hn::Store(v7, d, to + 7 * kPanelTileBytes);
      }
      from += UnitBytes(kBits);
      to += kUnitTiles<kBits> * kPanelTileBytes;
    }
  }
}

// The row blocks of a panel and their tables. The last panel of a matrix may
// have one row block; it then takes this twice, and the second half of its
// results is not stored.
struct PanelSource {
  const uint8_t* blocks[kPanelBlocks];
  DecodeTables tables[kPanelBlocks];
};

inline void PreparePanel(const GemmJob& job, size_t panel, int8_t bias,
                         PanelSource* source) {
  for (size_t i = 0; i < kPanelBlocks; ++i) {
    const size_t block = panel * kPanelBlocks + i;
    source->blocks[i] =
        job.RowBlock(std::min(block, job.w->geometry.row_blocks - 1));
    PrepareTables(*job.w, source->blocks[i], bias, &source->tables[i]);
  }
}

template <size_t kBits>
void DecodePanelOf(const GemmJob& job, const PanelSource& source, size_t group,
                   size_t first, size_t columns, uint8_t* HWY_RESTRICT panel) {
  for (size_t i = 0; i < kPanelBlocks; ++i) {
    const uint8_t* unit = job.Group(source.blocks[i], group) +
                          job.w->geometry.indices +
                          first / UnitColumns(kBits) * UnitBytes(kBits);
    uint8_t* to = panel + i * kTileBytes;
    if constexpr (kHasTable<kBits>) {
      if (job.w->table == nullptr) {
        DecodeColumns<kBits, true>(unit, columns, source.tables[i], to);
        continue;
      }
    }
    DecodeColumns<kBits, false>(unit, columns, source.tables[i], to);
  }
}

// Decodes `columns` columns of `group` from `first` on, both whole units.
inline void DecodePanel(const GemmJob& job, const PanelSource& source,
                        size_t group, size_t first, size_t columns,
                        uint8_t* HWY_RESTRICT panel) {
  WithBits(job.w->format.bits, [&](auto bits) {
    DecodePanelOf<bits>(job, source, group, first, columns, panel);
  });
}

// The scales, or offsets, of `group` for the rows of a panel.
HWY_INLINE void LoadPanelNumbers(const GemmJob& job, const PanelSource& source,
                                 GroupNumbers numbers, size_t group,
                                 float* HWY_RESTRICT to) {
  const DF32 d;
  for (size_t i = 0; i < kPanelBlocks; ++i) {
    for (size_t row = 0; row < kBlockRows; row += hn::Lanes(d)) {
      StripNumbers strip(job, numbers, source.blocks[i], row);
      strip.Start(group);
      const uint8_t* const from = job.Group(source.blocks[i], group);
      hn::Store(strip.Load(group, from), d, to + i * kBlockRows + row);
    }
  }
}

// Adds to the sums [tokens, kPanelRows] of `count` tokens from `first` on what
// the offsets of `group` give. Int8 results are defined with two roundings.
template <bool kQuantized>
HWY_NOINLINE void AddOffsets(const GemmJob& job, const PanelSource& source,
                             size_t group, size_t first, size_t count,
                             float* HWY_RESTRICT sums) {
  const DF32 d;
  alignas(64) float offsets[kPanelRows];
  LoadPanelNumbers(job, source, job.Offsets(), group, offsets);
  for (size_t t = 0; t < count; ++t) {
    const VF32 sum =
        hn::Set(d, job.group_sums[job.GroupPlace(first + t, group)]);
    for (size_t row = 0; row < kPanelRows; row += hn::Lanes(d)) {
      const VF32 offset = hn::Load(d, offsets + row);
      float* HWY_RESTRICT to = sums + t * kPanelRows + row;
      const VF32 before = hn::Load(d, to);
      if constexpr (kQuantized) {
        hn::Store(hn::Add(before, hn::Mul(sum, offset)), d, to);
      } else {
        hn::Store(hn::MulAdd(sum, offset, before), d, to);
      }
    }
  }
}

}  // namespace lutra::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
