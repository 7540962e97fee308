#include "lutra/kernels/lut_matrix.h"

#include <algorithm>
#include <cstring>

#include "kernels/base/word_hash.h"
#include "kernels/format/layout.h"
#include "kernels/format/scale_types.h"
#include "kernels/format/tables.h"

namespace lutra::kernels {
namespace {

constexpr char kMagic[9] = "LUTRAMAT";
constexpr uint16_t kLatestVersion = 2;

template <typename T>
T Load(const uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

template <typename T>
void Store(uint8_t* to, T value) {
  std::memcpy(to, &value, sizeof(value));
}

bool IsZero(const uint8_t* bytes, size_t count) {
  return std::all_of(bytes, bytes + count, [](uint8_t b) { return b == 0; });
}

// Of the blob, the checksum's own word taken as 0.
uint64_t Checksum(const uint8_t* blob, size_t size) {
  constexpr size_t kAfter = kChecksumAt + sizeof(uint64_t);
  WordHash hash;
  hash.AddBytes(blob, kChecksumAt);
  hash.AddWord(0);
  hash.AddBytes(blob + kAfter, size - kAfter);
  return hash.value();
}

size_t TensorTableBytes(const LutFormat& format) {
  const bool one = format.table_granularity == TableGranularity::kTensor;
  return one && format.HasTable() ? kTableBytes : 0;
}

// One row of a blob.
class Row {
 public:
  Row(const LutMatrix& matrix, size_t row)
      : format_(matrix.format),
        layout_(matrix.geometry),
        block_(matrix.row_blocks + row / kBlockRows * layout_.row_block_bytes),
        row_(row % kBlockRows),
        table_(matrix.table != nullptr
                   ? matrix.table
                   : reinterpret_cast<const int8_t*>(block_ + layout_.tables) +
                         row_ * matrix.format.TableEntries()) {}

  const int8_t* Table() const { return table_; }

  float Scale(size_t group) const {
    return Number(format_.scale_type, group, 0, 0);
  }

  // 0 where there is none.
  float Offset(size_t group) const {
    if (format_.offset_type == OffsetType::kNone) return 0;
    return Number(StorageOf(format_.offset_type), group, layout_.offsets,
                  layout_.super_offsets);
  }

  float SuperScale(size_t span) const {
    return LoadScale(format_.super_type, Span(span), row_);
  }
  float SuperOffset(size_t span) const {
    return LoadScale(format_.super_type, Span(span) + layout_.super_offsets,
                     row_);
  }

  // Calls each(column, index) for the first `columns` columns of a group.
  template <class Each>
  void ForIndices(size_t group, size_t columns, const Each& each) const {
    WithBits(format_.bits,
             [&](auto bits) { ForIndicesOf<bits>(group, columns, each); });
  }

 private:
  template <size_t kBits, class Each>
  void ForIndicesOf(size_t group, size_t columns, const Each& each) const {
    const uint8_t* unit = Group(group) + layout_.indices;
    for (size_t c = 0; c < columns; c += UnitColumns(kBits)) {
      const size_t count = std::min(UnitColumns(kBits), columns - c);
      for (size_t i = 0; i < count; ++i) {
        each(c + i, GetIndex(kBits, unit, row_, i));
      }
      unit += UnitBytes(kBits);
    }
  }

  // Of what a group has `at` bytes, and its super scale `super_at` bytes from
  // the start.
  float Number(ScaleType type, size_t group, size_t at, size_t super_at) const {
    const float number = LoadScale(type, Group(group) + at, row_);
    if (format_.super_span == SuperSpan::kNone) return number;
    return number * LoadScale(format_.super_type,
                              Span(group >> layout_.super_shift) + super_at,
                              row_);
  }

  const uint8_t* Group(size_t group) const {
    return block_ + layout_.first_group + group * layout_.group_stride;
  }
  const uint8_t* Span(size_t span) const {
    return block_ + layout_.supers + span * layout_.super_stride;
  }

  const LutFormat& format_;
  const LutGeometry& layout_;
  const uint8_t* block_;
  size_t row_;
  const int8_t* table_;
};

// Stores what is next to `value`, and returns it.
float StoreNumber(ScaleType type, float value, bool has_super, float super,
                  uint8_t* to, size_t row) {
  if (!has_super) {
    StoreScale(type, value, to, row);
    return LoadScale(type, to, row);
  }
  StoreScale(type, super == 0 ? 0.0f : value / super, to, row);
  return LoadScale(type, to, row) * super;
}

// Fills row `n` of the row block at `block`, which is all zeros there.
void PackRow(const LutFormat& format, const LutGeometry& layout,
             const LutMatrixValues& values, size_t n, uint8_t* block) {
  const size_t r = n % kBlockRows;
  const size_t groups = format.GroupsPerRow();
  const size_t entries = format.TableEntries();
  const int8_t* table = values.tables;
  if (format.table_granularity == TableGranularity::kRow) {
    table += n * entries;
    std::memcpy(block + layout.tables + r * entries, table, entries);
  }
  const bool has_offsets = format.offset_type != OffsetType::kNone;
  const bool has_super = format.super_span != SuperSpan::kNone;
  const size_t supers = format.SupersPerRow();
  // Rounded, of the span at hand.
  float super_scale = 0;
  float super_offset = 0;
  float row_sum = 0;
  for (size_t g = 0; g < groups; ++g) {
    uint8_t* group = block + layout.first_group + g * layout.group_stride;
    const size_t span = g >> layout.super_shift;
    if (has_super && span << layout.super_shift == g) {
      uint8_t* const to = block + layout.supers + span * layout.super_stride;
      const auto store = [&](float value, uint8_t* at) {
        return StoreNumber(format.super_type, value, false, 0, at, r);
      };
      super_scale = store(values.super_scales[n * supers + span], to);
      if (has_offsets) {
        super_offset = store(values.super_offsets[n * supers + span],
                             to + layout.super_offsets);
      }
    }
    const float scale =
        StoreNumber(format.scale_type, values.scales[n * groups + g], has_super,
                    super_scale, group, r);
    const size_t first = g * format.group_size;
    const size_t columns =
        std::min<size_t>(format.group_size, format.k - first);
    int32_t sum = 0;
    for (size_t c = 0; c < columns; ++c) {
      uint8_t index = values.indices[n * format.k + first + c];
      if (format.HasTable()) {
        index = static_cast<uint8_t>(index & (entries - 1));
        sum += table[index];
      } else {
        sum += static_cast<int8_t>(index);
      }
      SetIndex(format.bits,
               group + layout.indices +
                   c / UnitColumns(format.bits) * UnitBytes(format.bits),
               r, c % UnitColumns(format.bits), index);
    }
    row_sum = row_sum + static_cast<float>(sum) * scale;
    if (has_offsets) {
      const float offset = StoreNumber(
          StorageOf(format.offset_type), values.offsets[n * groups + g],
          has_super, super_offset, group + layout.offsets, r);
      row_sum = row_sum + static_cast<float>(columns) * offset;
    }
  }
  Store(block + r * sizeof(float), row_sum);
}

}  // namespace

const char* CheckFormat(const LutFormat& format) noexcept {
  if (format.n == 0 || format.k == 0) return "n and k must not be 0";
  if (format.n > kMaxDimension) return "n exceeds 2^30";
  if (format.k > kMaxDimension) return "k exceeds 2^30";
  if (FindBitFormat(format.bits) == nullptr) {
    return "bits must be 1 to 4, or 8";
  }
  if (!IsBuilt(format.bits)) {
    return "unknown bits: this build was made without them (LUTRA_BITS)";
  }
  if (format.group_size == 0) return "group_size must not be 0";
  if (format.group_size > kMaxGroupSize) return "group_size exceeds 65536";
  if (format.group_size > format.k) {
    return "group_size exceeds k (one scale per row is group_size = k)";
  }
  if (format.group_size != format.k && format.group_size % kMinGroupSize != 0) {
    return "group_size must be a multiple of 16, or k";
  }
  if (format.table_granularity > TableGranularity::kRow) {
    return "unknown table granularity";
  }
  if (!format.HasTable() &&
      format.table_granularity != TableGranularity::kTensor) {
    return "8-bit weights have no table per row";
  }
  if (format.scale_type > ScaleType::kE4M3) return "unknown scale type";
  if (format.offset_type > OffsetType::kUint4) return "unknown offset type";
  if (format.super_span > SuperSpan::kColumns256) return "unknown super span";
  if (format.super_type > ScaleType::kFloat16) return "unknown super type";
  if (format.super_span == SuperSpan::kNone &&
      format.super_type != ScaleType::kFloat32) {
    return "super_type without super scales";
  }
  if (format.super_span == SuperSpan::kColumns256 &&
      kSuperColumns % format.group_size != 0) {
    return "super scales of 256 columns need a group_size that divides 256";
  }
  return nullptr;
}

uint16_t FormatVersion(const LutFormat& format) noexcept {
  const bool old = format.super_span == SuperSpan::kNone &&
                   format.scale_type <= ScaleType::kFloat16 &&
                   format.offset_type <= OffsetType::kFloat16;
  return old ? 1 : 2;
}

size_t BlobBytes(const LutFormat& format) noexcept {
  // At most 2^30 columns of 8 bytes per row (32-bit scale and offset for every
  // 16, and super scales for every 256), see FindGeometry; 2^26 blocks.
  static_assert(sizeof(size_t) <= sizeof(uint64_t));
  if constexpr (sizeof(size_t) < sizeof(uint64_t)) {
    const uint64_t bound =
        (uint64_t{format.k} + 64) * (uint64_t{format.n} + kBlockRows) * 8;
    if (bound > SIZE_MAX) return 0;
  }
  const LutGeometry geometry = FindGeometry(format);
  return kHeaderBytes + TensorTableBytes(format) +
         geometry.row_blocks * geometry.row_block_bytes;
}

void PackLutMatrix(const LutFormat& format, const LutMatrixValues& values,
                   uint8_t* blob) noexcept {
  const size_t size = BlobBytes(format);
  const bool per_row = format.table_granularity == TableGranularity::kRow;
  const size_t entries = format.TableEntries() * (per_row ? format.n : 1);
  int8_t min = INT8_MIN;
  int8_t max = INT8_MAX;
  if (format.HasTable()) {
    const auto range =
        std::minmax_element(values.tables, values.tables + entries);
    min = *range.first;
    max = *range.second;
  }
  std::memset(blob, 0, size);
  std::copy_n(kMagic, 8, blob + kMagicAt);
  Store(blob + kVersionAt, FormatVersion(format));
  blob[kBitsAt] = static_cast<uint8_t>(format.bits);
  blob[kGranularityAt] = static_cast<uint8_t>(format.table_granularity);
  blob[kScaleTypeAt] = static_cast<uint8_t>(format.scale_type);
  blob[kOffsetTypeAt] = static_cast<uint8_t>(format.offset_type);
  blob[kSuperSpanAt] = static_cast<uint8_t>(format.super_span);
  blob[kSuperTypeAt] = static_cast<uint8_t>(format.super_type);
  Store(blob + kNAt, format.n);
  Store(blob + kKAt, format.k);
  Store(blob + kGroupSizeAt, format.group_size);
  Store(blob + kTableMinAt, min);
  Store(blob + kTableMaxAt, max);
  Store(blob + kTotalBytesAt, static_cast<uint64_t>(size));

  uint8_t* at = blob + kHeaderBytes;
  if (TensorTableBytes(format) != 0) std::memcpy(at, values.tables, entries);
  at += TensorTableBytes(format);
  const LutGeometry layout = FindGeometry(format);
  for (size_t n = 0; n < format.n; ++n) {
    PackRow(format, layout, values, n,
            at + n / kBlockRows * layout.row_block_bytes);
  }
  Store(blob + kChecksumAt, Checksum(blob, size));
}

const char* ParseLutMatrix(const uint8_t* blob, size_t size,
                           LutMatrix* matrix) noexcept {
  if (reinterpret_cast<uintptr_t>(blob) % kBlobAlignment != 0) {
    return "LUT matrix is not aligned to 64 bytes";
  }
  if (size < kHeaderBytes) return "LUT matrix is shorter than its header";
  if (std::memcmp(blob + kMagicAt, kMagic, 8) != 0) {
    return "not a LUT matrix (wrong magic)";
  }
  const auto version = Load<uint16_t>(blob + kVersionAt);
  if (version == 0 || version > kLatestVersion) {
    return "unknown LUT matrix version";
  }
  LutMatrix m;
  m.blob = blob;
  m.format.bits = blob[kBitsAt];
  m.format.table_granularity =
      static_cast<TableGranularity>(blob[kGranularityAt]);
  m.format.scale_type = static_cast<ScaleType>(blob[kScaleTypeAt]);
  m.format.offset_type = static_cast<OffsetType>(blob[kOffsetTypeAt]);
  m.format.super_span = static_cast<SuperSpan>(blob[kSuperSpanAt]);
  m.format.super_type = static_cast<ScaleType>(blob[kSuperTypeAt]);
  m.format.n = Load<uint32_t>(blob + kNAt);
  m.format.k = Load<uint32_t>(blob + kKAt);
  m.format.group_size = Load<uint32_t>(blob + kGroupSizeAt);
  if (const char* reason = CheckFormat(m.format)) return reason;
  if (blob[kCodeAt] != 0) return "unknown LUT matrix code";
  if (FormatVersion(m.format) != version) {
    return "LUT matrix is not of the first version that has its format";
  }
  if (blob[kReservedAt31] != 0 ||
      !IsZero(blob + kReservedAt48, kHeaderBytes - kReservedAt48)) {
    return "a reserved LUT matrix field is not 0";
  }
  const size_t expected = BlobBytes(m.format);
  if (expected == 0) return "LUT matrix is too large for this CPU";
  if (Load<uint64_t>(blob + kTotalBytesAt) != expected) {
    return "LUT matrix size field does not match its shape";
  }
  if (size != expected) return "LUT matrix is truncated or has extra bytes";

  m.geometry = FindGeometry(m.format);
  m.row_blocks = blob + kHeaderBytes + TensorTableBytes(m.format);
  m.table_min = Load<int8_t>(blob + kTableMinAt);
  m.table_max = Load<int8_t>(blob + kTableMaxAt);
  // The exactness of kernels rests on the tables' range.
  int8_t min = INT8_MAX;
  int8_t max = INT8_MIN;
  const auto include =
      [&min, &max, entries = m.format.TableEntries()](const int8_t* table) {
        const auto range = std::minmax_element(table, table + entries);
        min = std::min(min, *range.first);
        max = std::max(max, *range.second);
      };
  if (!m.format.HasTable()) {
    min = INT8_MIN;
    max = INT8_MAX;
  } else if (m.format.table_granularity == TableGranularity::kTensor) {
    const uint8_t* table = blob + kHeaderBytes;
    const size_t entries = m.format.TableEntries();
    if (!IsZero(table + entries, kTableBytes - entries)) {
      return "LUT matrix table is not padded with 0";
    }
    m.table = reinterpret_cast<const int8_t*>(table);
    include(m.table);
    OrderByNibble(m.format.bits, m.table, m.nibble_tables);
  } else {
    for (size_t row = 0; row < m.format.n; ++row) include(Row(m, row).Table());
  }
  if (m.table_min != min || m.table_max != max) {
    return "LUT matrix table range does not match its tables";
  }
  *matrix = m;
  return nullptr;
}

LutMatrix RowsOf(const LutMatrix& matrix, uint32_t first, uint32_t n) noexcept {
  LutMatrix part = matrix;
  part.format.n = n;
  part.geometry.row_blocks = (n + kBlockRows - 1) / kBlockRows;
  part.row_blocks += first / kBlockRows * matrix.geometry.row_block_bytes;
  return part;
}

bool ChecksumMatches(const LutMatrix& matrix) noexcept {
  return Checksum(matrix.blob, BlobBytes(matrix.format)) ==
         Load<uint64_t>(matrix.blob + kChecksumAt);
}

void UnpackLutMatrix(const LutMatrix& matrix, uint8_t* indices, float* scales,
                     float* offsets, int8_t* tables) noexcept {
  const LutFormat& format = matrix.format;
  const size_t groups = format.GroupsPerRow();
  const size_t entries = format.TableEntries();
  for (size_t n = 0; n < format.n; ++n) {
    const Row row(matrix, n);
    if (tables != nullptr && (matrix.table == nullptr || n == 0)) {
      std::memcpy(tables + n * entries, row.Table(), entries);
    }
    for (size_t g = 0; g < groups; ++g) {
      if (scales != nullptr) scales[n * groups + g] = row.Scale(g);
      if (offsets != nullptr) offsets[n * groups + g] = row.Offset(g);
      if (indices == nullptr) continue;
      const size_t first = g * format.group_size;
      uint8_t* const to = indices + n * format.k + first;
      row.ForIndices(g, std::min<size_t>(format.group_size, format.k - first),
                     [to](size_t c, uint8_t index) { to[c] = index; });
    }
  }
}

void UnpackSuperScales(const LutMatrix& matrix, float* super_scales,
                       float* super_offsets) noexcept {
  const LutFormat& format = matrix.format;
  const size_t spans = format.SupersPerRow();
  const bool has_offsets = format.offset_type != OffsetType::kNone;
  for (size_t n = 0; n < format.n; ++n) {
    const Row row(matrix, n);
    for (size_t i = 0; i < spans; ++i) {
      if (super_scales != nullptr) {
        super_scales[n * spans + i] = row.SuperScale(i);
      }
      if (super_offsets != nullptr) {
        super_offsets[n * spans + i] = has_offsets ? row.SuperOffset(i) : 0;
      }
    }
  }
}

void DequantizeRow(const LutMatrix& matrix, uint32_t row,
                   float* values) noexcept {
  const LutFormat& format = matrix.format;
  const Row source(matrix, row);
  const bool has_offset = format.offset_type != OffsetType::kNone;
  for (size_t g = 0; g < format.GroupsPerRow(); ++g) {
    const size_t first = g * format.group_size;
    const size_t columns =
        std::min<size_t>(format.group_size, format.k - first);
    const float scale = source.Scale(g);
    const float offset = source.Offset(g);
    float* const to = values + first;
    const int8_t* const table = source.Table();
    const bool has_table = format.HasTable();
    source.ForIndices(g, columns, [=](size_t c, uint8_t index) {
      const int8_t entry =
          has_table ? table[index] : static_cast<int8_t>(index);
      const float product = scale * static_cast<float>(entry);
      // Adding 0 would lose the sign of a product that is -0.
      to[c] = has_offset ? product + offset : product;
    });
  }
}

}  // namespace lutra::kernels
