#ifndef LUTRA_KERNELS_FORMAT_LAYOUT_H_
#define LUTRA_KERNELS_FORMAT_LAYOUT_H_

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "kernels/format/bit_formats.h"
#include "lutra/kernels/lut_matrix.h"

// Where things are in a blob; docs/format.md says the same in words.

namespace lutra::kernels {

// Blobs are little endian and read in place.
static_assert(std::endian::native == std::endian::little);

inline constexpr size_t kHeaderBytes = 64;
inline constexpr size_t kTableBytes = 64;  // 16 entries, then padding
inline constexpr size_t kTileColumns = 4;
inline constexpr size_t kTileBytes = kBlockRows * kTileColumns;

// Position of header fields.
enum HeaderField : size_t {
  kMagicAt = 0,
  kVersionAt = 8,
  kBitsAt = 10,
  kGranularityAt = 11,
  kScaleTypeAt = 12,
  kOffsetTypeAt = 13,
  kCodeAt = 14,
  kSuperSpanAt = 15,
  kNAt = 16,
  kKAt = 20,
  kGroupSizeAt = 24,
  kTableMinAt = 28,
  kTableMaxAt = 29,
  kSuperTypeAt = 30,
  kReservedAt31 = 31,
  kTotalBytesAt = 32,
  kChecksumAt = 40,
  kReservedAt48 = 48,
};

// A unit is what kernels decode at a time: 64 bytes with the indices of 8 /
// bits tiles, three times 64 bytes for 3 bits, four times (one tile each)
// for 8.
constexpr size_t UnitColumns(size_t bits) {
  return FindBitFormat(bits)->unit_columns;
}
constexpr size_t UnitBytes(size_t bits) {
  return UnitColumns(bits) / kTileColumns * kTileBytes * bits / 8;
}

constexpr size_t DivideUp(size_t a, size_t b) { return (a + b - 1) / b; }
constexpr size_t RoundUp(size_t a, size_t b) { return DivideUp(a, b) * b; }

// Of a number in each row of a block.
constexpr size_t ScaleBytes(ScaleType type) {
  switch (type) {
    case ScaleType::kFloat32:
      return kBlockRows * 4;
    case ScaleType::kBFloat16:
    case ScaleType::kFloat16:
      return kBlockRows * 2;
    case ScaleType::kUint4:
      return kBlockRows / 2;
    default:
      return kBlockRows;
  }
}

static_assert(StorageOf(OffsetType::kFloat32) == ScaleType::kFloat32 &&
              StorageOf(OffsetType::kUint4) == ScaleType::kUint4);
constexpr size_t OffsetBytes(OffsetType type) {
  return type == OffsetType::kNone ? 0 : ScaleBytes(StorageOf(type));
}

// Needs a 64-bit size_t for the largest formats; BlobBytes checks that.
constexpr LutGeometry FindGeometry(const LutFormat& f) {
  const size_t units = DivideUp(f.group_size, UnitColumns(f.bits));
  const size_t last_columns = f.k - (f.GroupsPerRow() - 1) * f.group_size;
  const size_t last_units = DivideUp(last_columns, UnitColumns(f.bits));
  LutGeometry r;
  r.row_blocks = DivideUp(f.n, kBlockRows);
  r.groups = f.GroupsPerRow();
  r.padded_group = units * UnitColumns(f.bits);
  r.padded_last = last_units * UnitColumns(f.bits);
  r.padded_k = (r.groups - 1) * r.padded_group + r.padded_last;
  r.tables = kBlockRows * sizeof(float);  // after the row sums
  r.first_group = r.tables;
  if (f.table_granularity == TableGranularity::kRow) {
    r.first_group += RoundUp(kBlockRows * f.TableEntries(), kBlobAlignment);
  }
  if (f.super_span != SuperSpan::kNone) {
    r.supers = r.first_group;
    r.super_offsets = ScaleBytes(f.super_type);
    const bool has_offsets = f.offset_type != OffsetType::kNone;
    r.super_stride = r.super_offsets * (has_offsets ? 2 : 1);
    r.super_shift = f.super_span == SuperSpan::kRow
                        ? 31  // above every number of a group
                        : static_cast<size_t>(std::countr_zero(kSuperColumns) -
                                              std::countr_zero(f.group_size));
    r.first_group += RoundUp(f.SupersPerRow() * r.super_stride, kBlobAlignment);
  }
  r.offsets = ScaleBytes(f.scale_type);
  r.indices = r.offsets + OffsetBytes(f.offset_type);
  r.group_stride = r.indices + units * UnitBytes(f.bits);
  r.row_block_bytes = RoundUp(r.first_group + (r.groups - 1) * r.group_stride +
                                  r.indices + last_units * UnitBytes(f.bits),
                              kBlobAlignment);
  return r;
}

// Bit of the 1-bit plane of a 3-bit unit that belongs to tile t. In this order
// a nibble of the 2-bit plane (tile t even in bits 0-1, t + 1 in bits 2-3) and
// a nibble of the 1-bit plane combine into a table index by one select.
inline constexpr uint8_t kPlaneBit[8] = {2, 0, 3, 1, 6, 4, 7, 5};

// Index, or 8-bit value, of column `column` (below UnitColumns) of row `row` of
// a unit.
inline uint8_t GetIndex(size_t bits, const uint8_t* unit, size_t row,
                        size_t column) {
  const size_t tile = column / kTileColumns;
  const size_t byte = row * kTileColumns + column % kTileColumns;
  if (bits == 8) return unit[tile * kTileBytes + byte];
  if (bits == 3) {
    const int low = unit[tile / 4 * kTileBytes + byte] >> (2 * (tile % 4));
    const int high = unit[2 * kTileBytes + byte] >> kPlaneBit[tile];
    return static_cast<uint8_t>((low & 3) | ((high & 1) << 2));
  }
  return static_cast<uint8_t>((unit[byte] >> (bits * tile)) &
                              ((1 << bits) - 1));
}

// The inverse, into a unit that was zero there.
inline void SetIndex(size_t bits, uint8_t* unit, size_t row, size_t column,
                     uint8_t index) {
  const size_t tile = column / kTileColumns;
  const size_t byte = row * kTileColumns + column % kTileColumns;
  const auto put = [](uint8_t& to, size_t value) {
    to = static_cast<uint8_t>(to | value);
  };
  if (bits == 8) return put(unit[tile * kTileBytes + byte], index);
  if (bits == 3) {
    put(unit[tile / 4 * kTileBytes + byte], static_cast<size_t>(index & 3)
                                                << (2 * (tile % 4)));
    put(unit[2 * kTileBytes + byte], static_cast<size_t>(index >> 2)
                                         << kPlaneBit[tile]);
    return;
  }
  put(unit[byte], static_cast<size_t>(index) << (bits * tile));
}

// Products of matrices take this many columns at a time, see dot-inl.h, so
// units are multiples of it.
inline constexpr size_t kMatrixColumns = 8;
static_assert(std::all_of(std::begin(kBitFormats), std::end(kBitFormats),
                          [](const BitFormat& format) {
                            return format.unit_columns % kMatrixColumns == 0;
                          }));

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_FORMAT_LAYOUT_H_
