// One token of float activations: entries are decoded and converted in
// registers and used once.

#if defined(LUTRA_KERNELS_LUT_FLOAT_GEMV_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LUTRA_KERNELS_LUT_FLOAT_GEMV_INL_H_
#undef LUTRA_KERNELS_LUT_FLOAT_GEMV_INL_H_
#else
#define LUTRA_KERNELS_LUT_FLOAT_GEMV_INL_H_
#endif

#include "hwy/highway.h"
#include "kernels/lut/decode-inl.h"
#include "kernels/lut/float_gemm-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE {
using namespace LUTRA_EXTENSION;

// acc + the products of a tile, one column after the other as in the GEMM.
HWY_INLINE VF32 MultiplyTileColumns(VU8 tile, const float* HWY_RESTRICT x,
                                    VF32 acc) {
  const DF32 d;
  const VI32 quads = hn::BitCast(DI32(), tile);
  acc = hn::MulAdd(EntriesOfColumn<0>(quads), hn::Set(d, x[0]), acc);
  acc = hn::MulAdd(EntriesOfColumn<1>(quads), hn::Set(d, x[1]), acc);
  acc = hn::MulAdd(EntriesOfColumn<2>(quads), hn::Set(d, x[2]), acc);
  return hn::MulAdd(EntriesOfColumn<3>(quads), hn::Set(d, x[3]), acc);
}

template <size_t kBits, bool kRowTables>
HWY_INLINE VF32 MultiplyFloatUnit(const uint8_t* HWY_RESTRICT unit, VU8 t0,
                                  VU8 t1, VU8 t2, VU8 t3,
                                  const float* HWY_RESTRICT x, VF32 acc) {
  VU8 v0 = hn::Zero(DU8());
  VU8 v1 = v0, v2 = v0, v3 = v0, v4 = v0, v5 = v0, v6 = v0, v7 = v0;
  DecodeUnit<kBits, kRowTables>(unit, t0, t1, t2, t3, v0, v1, v2, v3, v4, v5,
                                v6, v7);
  acc = MultiplyTileColumns(v0, x, acc);
  acc = MultiplyTileColumns(v1, x + 4, acc);
  if constexpr (kUnitTiles<kBits> >= 4) {
    acc = MultiplyTileColumns(v2, x + 8, acc);
    acc = MultiplyTileColumns(v3, x + 12, acc);
  }
  if constexpr (kUnitTiles<kBits> == 8) {
    acc = MultiplyTileColumns(v4, x + 16, acc);
    acc = MultiplyTileColumns(v5, x + 20, acc);
    acc = MultiplyTileColumns(v6, x + 24, acc);
    acc = MultiplyTileColumns(v7, x + 28, acc);
  }
  return acc;
}

template <size_t kBits, bool kRows>
struct FloatStrip {
  static constexpr bool kQuantized = false;
  static constexpr bool kRowTables = kRows;

  template <bool kPair>
  static HWY_INLINE void Multiply(const GemmJob& job, size_t at, GemvBlock& a,
                                  GemvBlock& b) {
    const DU8 d8;
    const DF32 df;
    const VU8 ta0 = hn::Load(d8, a.tables.bytes[0] + at);
    const VU8 ta1 = hn::Load(d8, a.tables.bytes[1] + at);
    const VU8 ta2 = hn::Load(d8, a.tables.bytes[2] + at);
    const VU8 ta3 = hn::Load(d8, a.tables.bytes[3] + at);
    const GemvBlock& other = kRowTables ? b : a;
    const VU8 tb0 = hn::Load(d8, other.tables.bytes[0] + at);
    const VU8 tb1 = hn::Load(d8, other.tables.bytes[1] + at);
    const VU8 tb2 = hn::Load(d8, other.tables.bytes[2] + at);
    const VU8 tb3 = hn::Load(d8, other.tables.bytes[3] + at);
    const size_t row = at / kTileColumns;
    StripNumbers numbers_a(job, job.Scales(), a.bytes, row);
    StripNumbers numbers_b(job, job.Scales(), b.bytes, row);
    StripNumbers offsets_a(job, job.Offsets(), a.bytes, row);
    StripNumbers offsets_b(job, job.Offsets(), b.bytes, row);
    const uint8_t* group_a = job.Group(a.bytes, 0);
    const uint8_t* group_b = job.Group(b.bytes, 0);
    VF32 sum_a = hn::Zero(df);
    VF32 sum_b = sum_a;
    for (size_t g = 0; g < job.w->geometry.groups; ++g) {
      const VF32 scales_a = numbers_a.Load(g, group_a);
      const VF32 scales_b = numbers_b.Load(g, group_b);
      const uint8_t* HWY_RESTRICT unit_a =
          group_a + job.w->geometry.indices + at;
      const uint8_t* HWY_RESTRICT unit_b =
          group_b + job.w->geometry.indices + at;
      const float* x = job.floats + g * job.w->geometry.padded_group;
      const float* const end = x + job.PaddedColumns(g);
      while (x < end) {
        const float* const step_end =
            static_cast<size_t>(end - x) > kFloatStepColumns
                ? x + kFloatStepColumns
                : end;
        VF32 acc_a = hn::Zero(df);
        VF32 acc_b = acc_a;
        for (; x < step_end; x += UnitColumns(kBits)) {
          acc_a = MultiplyFloatUnit<kBits, kRowTables>(unit_a, ta0, ta1, ta2,
                                                       ta3, x, acc_a);
          unit_a += UnitBytes(kBits);
          if constexpr (kPair) {
            acc_b = MultiplyFloatUnit<kBits, kRowTables>(unit_b, tb0, tb1, tb2,
                                                         tb3, x, acc_b);
            unit_b += UnitBytes(kBits);
          }
        }
        sum_a = hn::MulAdd(acc_a, scales_a, sum_a);
        if constexpr (kPair) sum_b = hn::MulAdd(acc_b, scales_b, sum_b);
      }
      if (job.group_sums != nullptr) {
        const VF32 values = hn::Set(df, job.group_sums[g]);
        sum_a = hn::MulAdd(values, offsets_a.Load(g, group_a), sum_a);
        if constexpr (kPair) {
          sum_b = hn::MulAdd(values, offsets_b.Load(g, group_b), sum_b);
        }
      }
      group_a += job.w->geometry.group_stride;
      group_b += job.w->geometry.group_stride;
    }
    hn::Store(sum_a, df, a.sums + row);
    if constexpr (kPair) hn::Store(sum_b, df, b.sums + row);
  }
};

template <size_t kBits>
void FloatGemvRows(const GemmJob& job, size_t first, size_t count) {
  if constexpr (kHasTable<kBits>) {
    if (job.w->table == nullptr) {
      return GemvRowBlocks<FloatStrip<kBits, true>>(job, first, count, 0);
    }
  }
  GemvRowBlocks<FloatStrip<kBits, false>>(job, first, count, 0);
}

void FloatGemv(const GemmJob& job, size_t first, size_t count) {
  WithBits(job.w->format.bits,
           [&](auto bits) { FloatGemvRows<bits>(job, first, count); });
}

}  // namespace lutra::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
