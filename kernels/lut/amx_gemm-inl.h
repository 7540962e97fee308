// Several tokens with tile registers (AMX): up to 32 tokens by the 32 rows of a
// panel at a time.
//
//   tmm0, tmm1   sums of tokens 0 to 15 with rows 0 to 15 and 16 to 31
//   tmm2, tmm3   the same of tokens 16 to 31
//   tmm4, tmm5   columns of tokens 0 to 15, 16 to 31: [token][columns]
//   tmm6, tmm7   decoded tiles of rows 0 to 15, 16 to 31: [columns / 4][row][4]
//
// A decoded tile, 16 rows x 4 columns in 64 bytes, is a row of a tile register
// as it lies. Products are eight times as fast as those of vectors, so most of
// the time goes into decoding, and into scaling the sums of groups, which pass
// through memory: with groups of 64 columns about as long as the products. To
// scale the sums of the group before between products was slower.
//
// Included once for each variant that has tile registers.

#include <immintrin.h>

#include <cstring>

#include "hwy/highway.h"
#include "kernels/lut/decode-inl.h"
#include "kernels/lut/finish-inl.h"
#include "kernels/lut/panel-inl.h"

LUTRA_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE::LUTRA_EXTENSION {

inline constexpr size_t kTileTokens = kMaxTileTokens;
inline constexpr size_t kTileRegisterRows = 16;

// What ldtilecfg reads.
struct alignas(64) TileConfiguration {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};

  void Set(size_t tile, size_t its_rows, size_t its_row_bytes) {
    rows[tile] = static_cast<uint8_t>(its_rows);
    row_bytes[tile] = static_cast<uint16_t>(its_row_bytes);
  }
};

// g++'s intrinsics do not say that they read memory.
HWY_INLINE void IsRead(const void* memory) {
  asm volatile("" : : "r"(memory) : "memory");
}

// A step: columns [first, first + columns) of a group.
struct PanelStep {
  size_t group;
  size_t first;
  size_t columns;
};

// The products of tiles of tokens with a step of a panel.
class TileProducts {
 public:
  explicit TileProducts(const GemmJob& job)
      : job_(job), columns_(ValueColumns(job)) {
    Configure();
  }
  TileProducts(const TileProducts&) = delete;
  TileProducts& operator=(const TileProducts&) = delete;
  // Else a change of threads would have to save the registers.
  ~TileProducts() { _tile_release(); }

  // Adds to, or in a group's first step sets, dots [job.width, kPanelRows] of
  // the tile whose first token is `token`, and which has `count`: those of the
  // rest may become anything.
  void Multiply(const PanelStep& step, const uint8_t* panel, size_t token,
                size_t count, int32_t* dots) {
    IsRead(panel);
    const int8_t* values =
        job_.values + token * job_.w->geometry.padded_k +
        (step.group * job_.w->geometry.padded_group + step.first) * job_.width;
    if (count > kTileRegisterRows) {
      MultiplyRows<true>(step, panel, values, dots);
    } else {
      MultiplyRows<false>(step, panel, values, dots);
    }
  }

 private:
  static constexpr size_t kDotsStride = kPanelRows * sizeof(int32_t);

  // Once, for whole tiles: it takes as long as ten products.
  void Configure() const {
    TileConfiguration configuration;
    const size_t first = std::min(job_.width, kTileRegisterRows);
    const size_t second = job_.width - first;
    for (const size_t rows : {size_t{0}, size_t{1}}) {
      configuration.Set(rows, first, kTileBytes);
      if (second > 0) configuration.Set(2 + rows, second, kTileBytes);
      configuration.Set(6 + rows, columns_ / kTileColumns, kTileBytes);
    }
    configuration.Set(4, first, columns_);
    if (second > 0) configuration.Set(5, second, columns_);
    IsRead(&configuration);
    _tile_loadconfig(&configuration);
  }

  // kBoth: of more than 16 tokens.
  template <bool kBoth>
  void MultiplyRows(const PanelStep& step, const uint8_t* panel,
                    const int8_t* values, int32_t* dots) const {
    int32_t* const second = dots + kTileRegisterRows * kPanelRows;
    if (step.first == 0) {
      _tile_zero(0);
      _tile_zero(1);
      if constexpr (kBoth) {
        _tile_zero(2);
        _tile_zero(3);
      }
    } else {
      _tile_loadd(0, dots, kDotsStride);
      _tile_loadd(1, dots + kBlockRows, kDotsStride);
      if constexpr (kBoth) {
        _tile_loadd(2, second, kDotsStride);
        _tile_loadd(3, second + kBlockRows, kDotsStride);
      }
    }
    for (size_t c = 0; c < step.columns; c += columns_) {
      _tile_loadd(4, values, columns_);
      _tile_loadd(6, panel, kPanelTileBytes);
      _tile_loadd(7, panel + kTileBytes, kPanelTileBytes);
      _tile_dpbssd(0, 4, 6);
      _tile_dpbssd(1, 4, 7);
      if constexpr (kBoth) {
        _tile_loadd(5, values + kTileRegisterRows * columns_, columns_);
        _tile_dpbssd(2, 5, 6);
        _tile_dpbssd(3, 5, 7);
      }
      panel += columns_ / kTileColumns * kPanelTileBytes;
      values += columns_ * job_.width;
    }
    _tile_stored(0, dots, kDotsStride);
    _tile_stored(1, dots + kBlockRows, kDotsStride);
    if constexpr (kBoth) {
      _tile_stored(2, second, kDotsStride);
      _tile_stored(3, second + kBlockRows, kDotsStride);
    }
  }

  const GemmJob& job_;
  const size_t columns_;
};

// A group whose products are complete: dots of the tokens of a call, numbers of
// the rows of the panel.
struct CompleteGroup {
  alignas(64) int32_t dots[kTokenBlock * kPanelRows];
  alignas(64) float scales[kPanelRows];
  alignas(64) float offsets[kPanelRows];
};

// sums + what a vector of rows of a group gives, as int8 results are defined:
// rounded after each operation. `place` is the token's in arrays of groups.
template <bool kFactors, bool kOffsets>
HWY_INLINE VF32 AddRows(const GemmJob& job, const CompleteGroup& group,
                        size_t place, size_t row, const int32_t* dots,
                        VF32 sums) {
  const DF32 d;
  VF32 product = hn::ConvertTo(d, hn::Load(DI32(), dots + row));
  if constexpr (kFactors) {
    product = hn::Mul(product, hn::Set(d, job.group_scales[place]));
  }
  sums = hn::Add(sums, hn::Mul(product, hn::Load(d, group.scales + row)));
  if constexpr (kOffsets) {
    const VF32 ones = hn::Set(d, job.group_sums[place]);
    sums = hn::Add(sums, hn::Mul(ones, hn::Load(d, group.offsets + row)));
  }
  return sums;
}

// Adds groups [g, g + kGroups) to the sums of `count` tokens from `first` on.
// Two together, as sums go through memory once for both.
template <size_t kGroups, bool kFactors, bool kOffsets>
void AddGroups(const GemmJob& job, size_t g, size_t first, size_t count,
               const CompleteGroup* groups, float* HWY_RESTRICT sums) {
  const DF32 d;
  static_assert(kGroups == 1 || kGroups == 2);
  for (size_t tile = 0; tile < count; tile += job.width) {
    const size_t end = std::min(count, tile + job.width);
    size_t place = job.GroupPlace(first + tile, g);
    for (size_t t = tile; t < end; ++t, ++place) {
      const size_t at = t * kPanelRows;
      for (size_t row = 0; row < kPanelRows; row += hn::Lanes(d)) {
        VF32 sum = hn::Load(d, sums + at + row);
        sum = AddRows<kFactors, kOffsets>(job, groups[0], place, row,
                                          groups[0].dots + at, sum);
        if constexpr (kGroups == 2) {
          sum = AddRows<kFactors, kOffsets>(job, groups[1], place + job.width,
                                            row, groups[1].dots + at, sum);
        }
        hn::Store(sum, d, sums + at + row);
      }
    }
  }
}

template <bool kFactors, bool kOffsets>
void GemmPanel(const GemmJob& job, size_t panel, size_t first, size_t count) {
  PanelSource source;
  PreparePanel(job, panel, 0, &source);
  PanelEnd panel_end;
  PreparePanelEnd(job, source.blocks[0], source.blocks[1], panel * kPanelRows,
                  &panel_end);
  alignas(64) uint8_t decoded[kStepColumns / kTileColumns * kPanelTileBytes];
  alignas(64) float sums[kTokenBlock * kPanelRows];
  CompleteGroup complete[2];
  std::memset(sums, 0, count * kPanelRows * sizeof(float));

  TileProducts products(job);
  const size_t groups = job.w->geometry.groups;
  for (size_t g = 0; g < groups; ++g) {
    CompleteGroup& group = complete[g % 2];
    const size_t columns = job.PaddedColumns(g);
    for (size_t c = 0; c < columns; c += kStepColumns) {
      const PanelStep step = {g, c, std::min(kStepColumns, columns - c)};
      DecodePanel(job, source, g, c, step.columns, decoded);
      for (size_t t = 0; t < count; t += job.width) {
        products.Multiply(step, decoded, first + t,
                          std::min(job.width, count - t),
                          group.dots + t * kPanelRows);
      }
    }
    LoadPanelNumbers(job, source, job.Scales(), g, group.scales);
    if constexpr (kOffsets) {
      LoadPanelNumbers(job, source, job.Offsets(), g, group.offsets);
    }
    if (g % 2 == 1) {
      AddGroups<2, kFactors, kOffsets>(job, g - 1, first, count, complete,
                                       sums);
    } else if (g + 1 == groups) {
      AddGroups<1, kFactors, kOffsets>(job, g, first, count, complete, sums);
    }
  }
  FinishTokens<true>(job, panel_end, sums, first, count);
}

void Gemm(const GemmJob& job, size_t panel, size_t first, size_t count) {
  const bool offsets = job.group_sums != nullptr;
  if (job.group_scales != nullptr) {
    (offsets ? GemmPanel<true, true> : GemmPanel<true, false>)(job, panel,
                                                               first, count);
  } else {
    (offsets ? GemmPanel<false, true> : GemmPanel<false, false>)(job, panel,
                                                                 first, count);
  }
}

// Tokens of a block times columns.
inline constexpr size_t kSmallProduct = 8192;

// A product of few tokens takes as long as one that fills the registers, and a
// panel costs 0.1 us to configure and release them; vectors are faster
// (measured).
inline bool IsSmall(const GemmJob& job) {
  const size_t tokens = std::min(job.arguments.m, kTokenBlock);
  return tokens * job.w->geometry.padded_k < kSmallProduct ||
         (tokens <= kVectorTileTokens && job.w->geometry.padded_group <= 32);
}

// With small groups sums take longer than to decode again, and so few bits are
// decoded quickly (measured). No product of two tokens is small here.
inline bool PrefersGemm(const LutMatrix& w) {
  return w.format.bits >= 3 && w.geometry.padded_group >= 128 &&
         2 * w.geometry.padded_k >= kSmallProduct;
}

// The rate of the products, as RunChains: every sum is one of four in turn.
inline double RunTiles(size_t rounds) {
  TileConfiguration configuration;
  for (size_t tile = 0; tile < 8; ++tile) {
    configuration.Set(tile, kTileRegisterRows, kTileBytes);
  }
  IsRead(&configuration);
  _tile_loadconfig(&configuration);
  for (size_t r = 0; r < rounds; ++r) {
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(1, 4, 7);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
  }
  _tile_release();
  constexpr double kOperations =
      2.0 * kTileRegisterRows * kTileRegisterRows * kTileBytes;
  return 4 * kOperations * static_cast<double>(rounds);
}

}  // namespace lutra::kernels::HWY_NAMESPACE::LUTRA_EXTENSION
LUTRA_AFTER_NAMESPACE();
