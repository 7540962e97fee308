// One token: every index byte is decoded in registers and used once.

#if defined(LUTRA_KERNELS_INT8_GEMV_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LUTRA_KERNELS_INT8_GEMV_INL_H_
#undef LUTRA_KERNELS_INT8_GEMV_INL_H_
#else
#define LUTRA_KERNELS_INT8_GEMV_INL_H_
#endif

#include "hwy/highway.h"
#include "kernels/decode-inl.h"
#include "kernels/dot-inl.h"
#include "kernels/finish-inl.h"
#include "kernels/hwy_compat-inl.h"

LUTRA_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE {

// acc0 to acc3 += the products of the unit at `unit`, a strip of 16 rows.
template <size_t kBits, bool kRowTables, bool kPairsFit>
HWY_INLINE void MultiplyUnit(const uint8_t* HWY_RESTRICT unit, VU8 t0, VU8 t1,
                             VU8 t2, VU8 t3, const int8_t* HWY_RESTRICT x,
                             VI32& acc0, VI32& acc1, VI32& acc2, VI32& acc3) {
  const DI32 d;
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

// sums += dot products of one group and one strip.
template <size_t kBits, bool kRowTables, bool kPairsFit>
HWY_INLINE void MultiplyGroup(const GemmJob& job, size_t group,
                              const uint8_t* HWY_RESTRICT packed, size_t strip,
                              const DecodeTables& tables,
                              float* HWY_RESTRICT sums) {
  const DU8 d8;
  const DI32 d32;
  const DF32 df;
  const size_t at = strip * hn::Lanes(d8);
  const VU8 t0 = hn::Load(d8, tables.bytes[0] + at);
  const VU8 t1 = hn::Load(d8, tables.bytes[1] + at);
  const VU8 t2 = hn::Load(d8, tables.bytes[2] + at);
  const VU8 t3 = hn::Load(d8, tables.bytes[3] + at);
  VI32 acc0 = hn::Set(d32, job.starts[group]);
  VI32 acc1 = hn::Zero(d32);
  VI32 acc2 = acc1;
  VI32 acc3 = acc1;
  const uint8_t* unit = packed + job.layout.indices + at;
  const int8_t* x = job.values + group * job.padded_group;
  const int8_t* end = x + job.PaddedColumns(group);
  if constexpr (kUnitTiles<kBits> == 2) {
    // Two units at a time, for four independent chains.
    constexpr size_t kTwo = 2 * UnitColumns(kBits);
    for (; x + kTwo <= end; x += kTwo, unit += 2 * UnitBytes(kBits)) {
      MultiplyUnit<kBits, kRowTables, kPairsFit>(unit, t0, t1, t2, t3, x, acc0,
                                                 acc1, acc2, acc3);
      MultiplyUnit<kBits, kRowTables, kPairsFit>(
          unit + UnitBytes(kBits), t0, t1, t2, t3, x + UnitColumns(kBits), acc2,
          acc3, acc0, acc1);
    }
  }
  for (; x < end; x += UnitColumns(kBits), unit += UnitBytes(kBits)) {
    MultiplyUnit<kBits, kRowTables, kPairsFit>(unit, t0, t1, t2, t3, x, acc0,
                                               acc1, acc2, acc3);
  }
  const VI32 dot = hn::Add(hn::Add(acc0, acc1), hn::Add(acc2, acc3));
  const size_t row = strip * hn::Lanes(df);
  const VF32 scales = LoadScales(job.w.format.scale_type, packed, row);
  const VF32 product = hn::Mul(hn::ConvertTo(df, dot), scales);
  hn::Store(hn::Add(hn::Load(df, sums + row), product), df, sums + row);
}

template <size_t kBits, bool kRowTables, bool kPairsFit>
void GemvRows(const GemmJob& job, size_t first, size_t count) {
  const size_t strips = kTileBytes / hn::Lanes(DU8());
  const int8_t bias = kSignedTables ? int8_t{0} : job.w.table_min;
  DecodeTables tables;
  if (!kRowTables) PrepareTables(job, nullptr, bias, &tables);
  for (size_t b = first; b < first + count; ++b) {
    const uint8_t* block = job.RowBlock(b);
    if (kRowTables) PrepareTables(job, block, bias, &tables);
    PanelEnd panel_end;
    PreparePanelEnd(job, block, block, b * kBlockRows, &panel_end);
    panel_end.rows = std::min(panel_end.rows, kBlockRows);
    alignas(64) float sums[kBlockRows] = {};
    const uint8_t* packed = job.Group(block, 0);
    for (size_t g = 0; g < job.groups; ++g) {
      for (size_t strip = 0; strip < strips; ++strip) {
        MultiplyGroup<kBits, kRowTables, kPairsFit>(job, g, packed, strip,
                                                    tables, sums);
      }
      packed += job.layout.group_stride;
    }
    FinishToken<true>(job, panel_end, sums, 0);
  }
}

template <size_t kBits, bool kRowTables>
void GemvRows(const GemmJob& job, size_t first, size_t count) {
  if constexpr (!kHasDot) {
    if (!PairsFit(job)) {
      return GemvRows<kBits, kRowTables, false>(job, first, count);
    }
  }
  GemvRows<kBits, kRowTables, true>(job, first, count);
}

template <size_t kBits>
void GemvRows(const GemmJob& job, size_t first, size_t count) {
  if (job.w.table == nullptr) return GemvRows<kBits, true>(job, first, count);
  GemvRows<kBits, false>(job, first, count);
}

void Gemv(const GemmJob& job, size_t first, size_t count) {
  switch (job.w.format.bits) {
    case 1:
      return GemvRows<1>(job, first, count);
    case 2:
      return GemvRows<2>(job, first, count);
    case 3:
      return GemvRows<3>(job, first, count);
    default:
      return GemvRows<4>(job, first, count);
  }
}

}  // namespace lutra::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
