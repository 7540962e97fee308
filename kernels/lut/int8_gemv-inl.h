// One token: every index byte is decoded in registers and used once.
//
// Included once for each variant, see int8_variant-inl.h.

#include "hwy/highway.h"
#include "kernels/lut/decode-inl.h"
#include "kernels/lut/scales-inl.h"
#include "kernels/target/hwy_compat-inl.h"

LUTRA_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE::LUTRA_EXTENSION {

// acc0 to acc3 += the products of the unit at `unit`, a strip of 16 rows.
// `ahead` asks for the weights that follow.
template <size_t kBits, bool kRowTables, bool kPairsFit>
HWY_INLINE void MultiplyUnit(bool ahead, const uint8_t* HWY_RESTRICT unit,
                             VU8 t0, VU8 t1, VU8 t2, VU8 t3,
                             const int8_t* HWY_RESTRICT x, VI32& acc0,
                             VI32& acc1, VI32& acc2, VI32& acc3) {
  const DI32 d;
  if (ahead) PrefetchUnit<kBits>(unit);
  VU8 v0 = hn::Zero(DU8());
  VU8 v1 = v0, v2 = v0, v3 = v0, v4 = v0, v5 = v0, v6 = v0, v7 = v0;
  DecodeUnit<kBits, kRowTables>(unit, t0, t1, t2, t3, v0, v1, v2, v3, v4, v5,
                                v6, v7);
  acc0 = DotAccumulate<kPairsFit>(d, acc0, v0, FourValues(x));
  acc1 = DotAccumulate<kPairsFit>(d, acc1, v1, FourValues(x + 4));
  if constexpr (kUnitTiles<kBits> >= 4) {
    acc2 = DotAccumulate<kPairsFit>(d, acc2, v2, FourValues(x + 8));
    acc3 = DotAccumulate<kPairsFit>(d, acc3, v3, FourValues(x + 12));
  }
  if constexpr (kUnitTiles<kBits> == 8) {
    acc0 = DotAccumulate<kPairsFit>(d, acc0, v4, FourValues(x + 16));
    acc1 = DotAccumulate<kPairsFit>(d, acc1, v5, FourValues(x + 20));
    acc2 = DotAccumulate<kPairsFit>(d, acc2, v6, FourValues(x + 24));
    acc3 = DotAccumulate<kPairsFit>(d, acc3, v7, FourValues(x + 28));
  }
}

// sum + what a group gives whose dot products are `dot`. kPlain: see
// HasPlainScales. The code for all other types of numbers is large, so it is in
// each GEMV once for a block, not again for plain ones.
template <bool kPlain>
HWY_INLINE VF32 AddGroup(const GemmJob& job, size_t group, const uint8_t* from,
                         size_t row, StripNumbers& scales,
                         StripNumbers& offsets, VI32 dot, VF32 sum) {
  const DF32 d;
  VF32 product = hn::ConvertTo(d, dot);
  if (job.group_scales != nullptr) {
    product = hn::Mul(product, hn::Set(d, job.group_scales[group]));
  }
  if constexpr (kPlain) {
    const VF32 scale = LoadFloats(job.w->format.scale_type, from, row);
    return hn::Add(sum, hn::Mul(product, scale));
  }
  sum = hn::Add(sum, hn::Mul(product, scales.Load(group, from)));
  if (job.group_sums != nullptr) {
    const VF32 values = hn::Set(d, job.group_sums[group]);
    sum = hn::Add(sum, hn::Mul(values, offsets.Load(group, from)));
  }
  return sum;
}

template <size_t kBits, bool kRows, bool kPairsFit>
struct Int8Strip {
  static constexpr bool kQuantized = true;
  static constexpr bool kRowTables = kRows;

  template <bool kPair>
  static HWY_INLINE void Multiply(const GemmJob& job, size_t at, GemvBlock& a,
                                  GemvBlock& b) {
    if (HasPlainScales(job)) {
      MultiplyGroups<kPair, true>(job, at, a, b);
    } else {
      MultiplyGroups<kPair, false>(job, at, a, b);
    }
  }

 private:
  template <bool kPair, bool kPlain>
  static HWY_INLINE void MultiplyGroups(const GemmJob& job, size_t at,
                                        GemvBlock& a, GemvBlock& b) {
    const DU8 d8;
    const DI32 d32;
    const DF32 df;
    const VU8 ta0 = hn::Load(d8, a.tables.bytes[0] + at);
    const VU8 ta1 = hn::Load(d8, a.tables.bytes[1] + at);
    const VU8 ta2 = hn::Load(d8, a.tables.bytes[2] + at);
    const VU8 ta3 = hn::Load(d8, a.tables.bytes[3] + at);
    // With one table for the tensor, both blocks have the same.
    const GemvBlock& other = kRowTables ? b : a;
    const VU8 tb0 = hn::Load(d8, other.tables.bytes[0] + at);
    const VU8 tb1 = hn::Load(d8, other.tables.bytes[1] + at);
    const VU8 tb2 = hn::Load(d8, other.tables.bytes[2] + at);
    const VU8 tb3 = hn::Load(d8, other.tables.bytes[3] + at);
    const size_t row = at / kTileColumns;
    // With few bits, so many instructions follow a load that no CPU looks far
    // enough ahead by itself.
    const bool ahead = kBits < 4 || job.needs_prefetch;
    StripNumbers scales_a(job, job.Scales(), a.bytes, row);
    StripNumbers scales_b(job, job.Scales(), b.bytes, row);
    StripNumbers offsets_a(job, job.Offsets(), a.bytes, row);
    StripNumbers offsets_b(job, job.Offsets(), b.bytes, row);
    const uint8_t* group_a = job.Group(a.bytes, 0);
    const uint8_t* group_b = job.Group(b.bytes, 0);
    const int8_t* HWY_RESTRICT group_x = job.values;
    VF32 sum_a = hn::Zero(df);
    VF32 sum_b = sum_a;
    for (size_t g = 0; g < job.w->geometry.groups; ++g) {
      VI32 a0 = hn::Set(d32, job.starts[g]);
      VI32 a1 = hn::Zero(d32);
      if (ahead) {
        PrefetchAhead(group_a);
        if constexpr (kPair) PrefetchAhead(group_b);
      }
      VI32 a2 = a1, a3 = a1, b0 = a0, b1 = a1, b2 = a1, b3 = a1;
      const uint8_t* HWY_RESTRICT unit_a =
          group_a + job.w->geometry.indices + at;
      const uint8_t* HWY_RESTRICT unit_b =
          group_b + job.w->geometry.indices + at;
      const int8_t* HWY_RESTRICT x = group_x;
      const int8_t* const end = x + job.PaddedColumns(g);
      if constexpr (kUnitTiles<kBits> == 2 && !kPair) {
        // Two units at a time, for four independent chains; a pair has them.
        constexpr size_t kTwo = 2 * UnitColumns(kBits);
        for (; x + kTwo <= end; x += kTwo) {
          MultiplyUnit<kBits, kRowTables, kPairsFit>(
              ahead, unit_a, ta0, ta1, ta2, ta3, x, a0, a1, a2, a3);
          MultiplyUnit<kBits, kRowTables, kPairsFit>(
              ahead, unit_a + UnitBytes(kBits), ta0, ta1, ta2, ta3,
              x + UnitColumns(kBits), a2, a3, a0, a1);
          unit_a += 2 * UnitBytes(kBits);
        }
      }
      for (; x < end; x += UnitColumns(kBits)) {
        MultiplyUnit<kBits, kRowTables, kPairsFit>(ahead, unit_a, ta0, ta1, ta2,
                                                   ta3, x, a0, a1, a2, a3);
        unit_a += UnitBytes(kBits);
        if constexpr (kPair) {
          MultiplyUnit<kBits, kRowTables, kPairsFit>(
              ahead, unit_b, tb0, tb1, tb2, tb3, x, b0, b1, b2, b3);
          unit_b += UnitBytes(kBits);
        }
      }
      const VI32 dot_a = hn::Add(hn::Add(a0, a1), hn::Add(a2, a3));
      const VI32 dot_b = hn::Add(hn::Add(b0, b1), hn::Add(b2, b3));
      sum_a = AddGroup<kPlain>(job, g, group_a, row, scales_a, offsets_a, dot_a,
                               sum_a);
      if constexpr (kPair) {
        sum_b = AddGroup<kPlain>(job, g, group_b, row, scales_b, offsets_b,
                                 dot_b, sum_b);
      }
      group_a += job.w->geometry.group_stride;
      group_b += job.w->geometry.group_stride;
      group_x += job.w->geometry.padded_group;
    }
    hn::Store(sum_a, df, a.sums + row);
    if constexpr (kPair) hn::Store(sum_b, df, b.sums + row);
  }
};

template <size_t kBits, bool kRowTables>
void GemvRows(const GemmJob& job, size_t first, size_t count) {
  const int8_t bias = kSignedTables ? int8_t{0} : job.w->table_min;
  if constexpr (!kHasDot) {
    if (!PairsFit(job)) {
      using Strip = Int8Strip<kBits, kRowTables, false>;
      return GemvRowBlocks<Strip>(job, first, count, bias);
    }
  }
  using Strip = Int8Strip<kBits, kRowTables, true>;
  GemvRowBlocks<Strip>(job, first, count, bias);
}

template <size_t kBits>
void GemvRows(const GemmJob& job, size_t first, size_t count) {
  if constexpr (kHasTable<kBits>) {
    if (job.w->table == nullptr) {
      return GemvRows<kBits, true>(job, first, count);
    }
  }
  GemvRows<kBits, false>(job, first, count);
}

void Gemv(const GemmJob& job, size_t first, size_t count) {
  WithBits(job.w->format.bits,
           [&](auto bits) { GemvRows<bits>(job, first, count); });
}

}  // namespace lutra::kernels::HWY_NAMESPACE::LUTRA_EXTENSION
LUTRA_AFTER_NAMESPACE();
