// From packed indices to table entries.

#if defined(LUTRA_KERNELS_LUT_DECODE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LUTRA_KERNELS_LUT_DECODE_INL_H_
#undef LUTRA_KERNELS_LUT_DECODE_INL_H_
#else
#define LUTRA_KERNELS_LUT_DECODE_INL_H_
#endif

#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "kernels/format/tables.h"
#include "kernels/lut/gemm_job.h"
#include "kernels/target/hwy_compat-inl.h"
#include "kernels/target/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lutra::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Shifts 16-bit lanes; bits that cross bytes must be masked away.
template <int kBits>
HWY_INLINE VU8 ShiftRightPairs(VU8 v) {
  if constexpr (kBits == 0) {
    return v;
  } else {
    const hn::Repartition<uint16_t, DU8> d16;
    return hn::BitCast(DU8(), hn::ShiftRight<kBits>(hn::BitCast(d16, v)));
  }
}
template <int kBits>
HWY_INLINE VU8 ShiftLeftPairs(VU8 v) {
  const hn::Repartition<uint16_t, DU8> d16;
  return hn::BitCast(DU8(), hn::ShiftLeft<kBits>(hn::BitCast(d16, v)));
}

HWY_INLINE VU8 LowNibbles(VU8 v) { return hn::And(v, hn::Set(DU8(), 0x0F)); }
HWY_INLINE VU8 HighNibbles(VU8 v) { return LowNibbles(ShiftRightPairs<4>(v)); }

// (row % 4) << kShift in each byte, and 0xFF in the bytes of rows with
// row % 4 == kRow.
template <int kShift>
HWY_INLINE VU8 RowOffsets() {
  const DI32 d;
  const VI32 row = hn::And(hn::Iota(d, 0), hn::Set(d, 3));
  return hn::BitCast(
      DU8(), hn::ShiftLeft<kShift>(hn::Mul(row, hn::Set(d, 0x01010101))));
}
template <int kRow>
HWY_INLINE VU8 RowMask() {
  const DI32 d;
  const VI32 row = hn::And(hn::Iota(d, 0), hn::Set(d, 3));
  return hn::BitCast(DU8(), hn::VecFromMask(d, hn::Eq(row, hn::Set(d, kRow))));
}

// Asks for the weights 2 KiB behind `from`, which may be past the end.
HWY_INLINE void PrefetchAhead(const uint8_t* from) {
  hwy::Prefetch(from + 2048);
}
template <size_t kBits>
HWY_INLINE void PrefetchUnit(const uint8_t* unit) {
  for (size_t line = 0; line < UnitBytes(kBits); line += kTileBytes) {
    PrefetchAhead(unit + line);
  }
}

// Prepares the tables of a row block, the same for all blocks if there is one
// table for the tensor; entries become entry - bias. With 8 bits, the only
// other bias is -128, and 0 - bias is the bit that flips the sign of values.
// Not inlined: each GEMV would have its own copies.
inline HWY_NOINLINE void PrepareTables(const LutMatrix& w,
                                       const uint8_t* row_block, int8_t bias,
                                       DecodeTables* tables) {
  if (w.format.table_granularity == TableGranularity::kRow) {
    return OrderRowTables(w, row_block, bias, tables);
  }
  const DU8 d;
  const VU8 biases = hn::Set(d, static_cast<uint8_t>(bias));
  for (size_t t = 0; t < 4; ++t) {
    const VU8 table = hn::Sub(hn::LoadDup128(d, w.nibble_tables[t]), biases);
    for (size_t at = 0; at < kTileBytes; at += hn::Lanes(d)) {
      hn::Store(table, d, tables->bytes[t] + at);
    }
  }
}

template <size_t kBits>
inline constexpr size_t kUnitTiles = UnitColumns(kBits) / kTileColumns;

// The table entries of the tiles of a unit, at most 8. `unit` and `t0` to `t3`
// (rows of DecodeTables) are those of one strip.
template <size_t kBits, bool kRowTables>
HWY_INLINE void DecodeUnit(const uint8_t* HWY_RESTRICT unit, VU8 t0, VU8 t1,
                           VU8 t2, VU8 t3, VU8& v0, VU8& v1, VU8& v2, VU8& v3,
                           VU8& v4, VU8& v5, VU8& v6, VU8& v7) {
  const DU8 d;
  (void)t1;
  (void)t2;
  (void)t3;
  const VU8 a = hn::LoadU(d, unit);
  if constexpr (kBits == 4 && !kRowTables) {
    v0 = LookUp(t0, LowNibbles(a));
    v1 = LookUp(t0, HighNibbles(a));
  } else if constexpr (kBits == 4) {
    const auto look_up = [&](VU8 index) HWY_ATTR {
      const VU8 r0 = LookUp(t0, index);
      const VU8 r1 = LookUp(t1, index);
      const VU8 r2 = LookUp(t2, index);
      const VU8 r3 = LookUp(t3, index);
      const VU8 r01 = hn::IfVecThenElse(RowMask<1>(), r1, r0);
      const VU8 r012 = hn::IfVecThenElse(RowMask<2>(), r2, r01);
      return hn::IfVecThenElse(RowMask<3>(), r3, r012);
    };
    v0 = look_up(LowNibbles(a));
    v1 = look_up(HighNibbles(a));
  } else if constexpr (kBits == 2 && !kRowTables) {
    const VU8 low = LowNibbles(a);
    const VU8 high = HighNibbles(a);
    v0 = LookUp(t0, low);
    v1 = LookUp(t1, low);
    v2 = LookUp(t0, high);
    v3 = LookUp(t1, high);
  } else if constexpr (kBits == 2) {
    const VU8 rows = RowOffsets<2>();
    const VU8 mask = hn::Set(d, 3);
    const auto look_up = [&](VU8 index) HWY_ATTR {
      return LookUp(t0, SelectBits(mask, index, rows));
    };
    v0 = look_up(a);
    v1 = look_up(ShiftRightPairs<2>(a));
    v2 = look_up(ShiftRightPairs<4>(a));
    v3 = look_up(ShiftRightPairs<6>(a));
  } else if constexpr (kBits == 1 && !kRowTables) {
    const VU8 low = LowNibbles(a);
    const VU8 high = HighNibbles(a);
    v0 = LookUp(t0, low);
    v1 = LookUp(t1, low);
    v2 = LookUp(t2, low);
    v3 = LookUp(t3, low);
    v4 = LookUp(t0, high);
    v5 = LookUp(t1, high);
    v6 = LookUp(t2, high);
    v7 = LookUp(t3, high);
  } else if constexpr (kBits == 1) {
    const VU8 rows = RowOffsets<1>();
    const VU8 mask = hn::Set(d, 1);
    const auto look_up = [&](VU8 index) HWY_ATTR {
      return LookUp(t0, SelectBits(mask, index, rows));
    };
    v0 = look_up(a);
    v1 = look_up(ShiftRightPairs<1>(a));
    v2 = look_up(ShiftRightPairs<2>(a));
    v3 = look_up(ShiftRightPairs<3>(a));
    v4 = look_up(ShiftRightPairs<4>(a));
    v5 = look_up(ShiftRightPairs<5>(a));
    v6 = look_up(ShiftRightPairs<6>(a));
    v7 = look_up(ShiftRightPairs<7>(a));
  } else if constexpr (kBits == 8) {
    v0 = hn::Xor(a, t0);
    v1 = hn::Xor(hn::LoadU(d, unit + kTileBytes), t0);
    v2 = hn::Xor(hn::LoadU(d, unit + 2 * kTileBytes), t0);
    v3 = hn::Xor(hn::LoadU(d, unit + 3 * kTileBytes), t0);
  } else {
    static_assert(kBits == 3);
    const VU8 b = hn::LoadU(d, unit + kTileBytes);
    const VU8 h = hn::LoadU(d, unit + 2 * kTileBytes);
    const VU8 mask_low = hn::Set(d, 0x03);
    if constexpr (!kRowTables) {
      const VU8 mask_high = hn::Set(d, 0x0C);
      const VU8 h_low = LowNibbles(h);
      const VU8 h_high = HighNibbles(h);
      const auto join = [](VU8 table, VU8 mask, VU8 low, VU8 high) HWY_ATTR {
        return LookUp(table, SelectBits(mask, low, high));
      };
      v0 = join(t0, mask_low, LowNibbles(a), h_low);
      v1 = join(t1, mask_high, LowNibbles(a), h_low);
      v2 = join(t2, mask_low, HighNibbles(a), h_low);
      v3 = join(t3, mask_high, HighNibbles(a), h_low);
      v4 = join(t0, mask_low, LowNibbles(b), h_high);
      v5 = join(t1, mask_high, LowNibbles(b), h_high);
      v6 = join(t2, mask_low, HighNibbles(b), h_high);
      v7 = join(t3, mask_high, HighNibbles(b), h_high);
    } else {
      // Rows 0 and 1 share t0, rows 2 and 3 share t1.
      const VU8 mask_plane = hn::Set(d, 0x04);
      const VU8 odd_row = hn::And(RowOffsets<3>(), hn::Set(d, 0x08));
      const VU8 upper = hn::Or(RowMask<2>(), RowMask<3>());
      const auto join = [&](VU8 low, VU8 high) HWY_ATTR {
        const VU8 index =
            SelectBits(mask_low, low, SelectBits(mask_plane, high, odd_row));
        return hn::IfVecThenElse(upper, LookUp(t1, index), LookUp(t0, index));
      };
      v0 = join(a, h);
      v1 = join(ShiftRightPairs<2>(a), ShiftLeftPairs<2>(h));
      v2 = join(ShiftRightPairs<4>(a), ShiftRightPairs<1>(h));
      v3 = join(ShiftRightPairs<6>(a), ShiftLeftPairs<1>(h));
      v4 = join(b, ShiftRightPairs<4>(h));
      v5 = join(ShiftRightPairs<2>(b), ShiftRightPairs<2>(h));
      v6 = join(ShiftRightPairs<4>(b), ShiftRightPairs<5>(h));
      v7 = join(ShiftRightPairs<6>(b), ShiftRightPairs<3>(h));
    }
  }
}

}  // namespace lutra::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
