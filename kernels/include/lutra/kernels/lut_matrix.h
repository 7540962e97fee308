#ifndef LUTRA_KERNELS_LUT_MATRIX_H_
#define LUTRA_KERNELS_LUT_MATRIX_H_

#include <cstddef>
#include <cstdint>

// A LUT matrix is a weight matrix [N, K] whose entries are
//
//   w[n][k] = scale[n][k / group_size] * LUT[index[n][k]]
//             (+ offset[n][k / group_size])
//
// stored as one self-describing blob. docs/format.md specifies the bytes; they
// are the same for every CPU, and the kernels read them in place.
//
// Nothing here allocates, throws or keeps state; all functions may be called
// from several threads at once.

namespace lutra::kernels {

enum class TableGranularity : uint8_t { kTensor = 0, kRow = 1 };
// The last four are of format version 2.
enum class ScaleType : uint8_t {
  kFloat32 = 0,
  kBFloat16 = 1,
  kFloat16 = 2,
  kInt8 = 3,
  kUint4 = 4,  // 0 to 15
  kE8M0 = 5,   // powers of two from 2^-127 on, as of OCP's MX formats
  kE4M3 = 6    // 8-bit floats, as of OCP
};
enum class OffsetType : uint8_t {
  kNone = 0,
  kFloat32 = 1,
  kBFloat16 = 2,
  kFloat16 = 3,
  kInt8 = 4,
  kUint4 = 5
};
// What a super scale covers, a number that the scales are multiplied by; and
// another one the offsets. Of format version 2, but for kNone.
enum class SuperSpan : uint8_t { kNone = 0, kRow = 1, kColumns256 = 2 };

// Blobs start at an address and have a size that are multiples of this.
inline constexpr size_t kBlobAlignment = 64;

// Rows that are stored together: blobs can be cut between these.
inline constexpr size_t kBlockRows = 16;

// With |LUT| <= 128 and |activation| <= 128, the dot product of one group of
// this many columns fits int32, also with the table biased to unsigned bytes.
inline constexpr uint32_t kMaxGroupSize = 65536;
inline constexpr uint32_t kMinGroupSize = 16;
// Of SuperSpan::kColumns256.
inline constexpr uint32_t kSuperColumns = 256;
// Limit on N and on K.
inline constexpr uint32_t kMaxDimension = 1u << 30;

// The choices that fix a blob's size and meaning.
struct LutFormat {
  uint32_t n = 0;  // output features: rows of the weight
  uint32_t k = 0;  // input features: columns of the weight
  // Bits per index, 1 to 4; the table has 2^bits entries. Or 8: the int8 values
  // themselves take the place of LUT[index], and there is no table.
  uint32_t bits = 2;
  // Columns that share a scale: k for one scale per row, else a multiple of 16
  // below k. The last group of a row may be short.
  uint32_t group_size = 64;
  // kTensor where there is no table.
  TableGranularity table_granularity = TableGranularity::kTensor;
  ScaleType scale_type = ScaleType::kFloat32;
  OffsetType offset_type = OffsetType::kNone;
  // kColumns256 needs groups that divide 256.
  SuperSpan super_span = SuperSpan::kNone;
  // kFloat32, kBFloat16 or kFloat16; kFloat32 where there are none.
  ScaleType super_type = ScaleType::kFloat32;

  constexpr uint32_t GroupsPerRow() const {
    return (k + group_size - 1) / group_size;
  }
  // Super scales of a row, and as many of its offsets if there are any.
  constexpr uint32_t SupersPerRow() const {
    return super_span == SuperSpan::kNone  ? 0
           : super_span == SuperSpan::kRow ? 1
                                           : (k - 1) / kSuperColumns + 1;
  }
  constexpr bool HasTable() const { return bits != 8; }
  // Of one table, 0 where there is none.
  constexpr uint32_t TableEntries() const {
    return HasTable() ? 1u << bits : 0;
  }
};

// Returns nullptr if blobs of this format exist, else the reason why not (a
// static string).
const char* CheckFormat(const LutFormat& format) noexcept;

// Size in bytes of a blob, a multiple of kBlobAlignment. `format` must pass
// CheckFormat; the result may be 0 if it does not fit size_t.
size_t BlobBytes(const LutFormat& format) noexcept;

// What PackLutMatrix stores. All numbers are finite, also after rounding to
// their type.
struct LutMatrixValues {
  // [N, K] row-major, each below 2^bits; with 8 bits the int8 values as bytes.
  const uint8_t* indices = nullptr;
  // [N, GroupsPerRow] row-major. With super scales, what is stored is the
  // number of the scale type next to scale / super scale (0 if that is 0), and
  // the scale is that number times the super scale, rounded to float32.
  const float* scales = nullptr;
  const float* offsets = nullptr;  // the same; only with an offset type
  // [N, SupersPerRow] row-major.
  const float* super_scales = nullptr;
  const float* super_offsets = nullptr;
  // [2^bits], or [N, 2^bits] with a table per row; not used with 8 bits.
  const int8_t* tables = nullptr;
};

// Fills `blob` (BlobBytes(format) bytes, aligned to kBlobAlignment).
void PackLutMatrix(const LutFormat& format, const LutMatrixValues& values,
                   uint8_t* blob) noexcept;

// What follows from a format, in the numbers that kernels want: a small product
// takes less time than the divisions that they cost.
struct LutGeometry {
  size_t row_blocks = 0;  // of 16 rows
  size_t groups = 0;      // per row
  // Columns between the starts of groups, of the last group and of a row, where
  // zeros fill every group up to whole units (what is decoded at a time).
  size_t padded_group = 0;
  size_t padded_last = 0;
  size_t padded_k = 0;
  // Bytes, from the start of a row block or of a group.
  size_t row_block_bytes = 0;
  size_t tables = 0;       // from the row block to its tables, one per row
  size_t first_group = 0;  // and to its groups: scales, offsets, units
  // Between the super scales of a span and of the next, 0 where there are none;
  // and from a row block to the first.
  size_t super_stride = 0;
  size_t supers = 0;
  size_t super_offsets = 0;  // from a span's super scales to those of offsets
  size_t super_shift = 0;    // group >> super_shift is the span of a group
  size_t group_stride = 0;   // between the starts of groups
  size_t offsets = 0;        // from a group to its offsets
  size_t indices = 0;        // and to its units
};

// A parsed blob: the format and pointers into bytes owned by the caller, which
// must outlive it. Only ParseLutMatrix makes one.
struct LutMatrix {
  LutFormat format;
  LutGeometry geometry;
  const uint8_t* blob = nullptr;
  // Smallest and largest entry of all tables; -128 and 127 with 8 bits.
  int8_t table_min = 0;
  int8_t table_max = 0;
  const int8_t* table = nullptr;  // [16], zero padded; one per tensor only
  const uint8_t* row_blocks = nullptr;
  // With one table per tensor: its entries in the order of the nibbles that
  // select them, for each of up to four places in a nibble. Else zeros.
  alignas(16) uint8_t nibble_tables[4][16] = {};
};

// Reads the header of `size` untrusted bytes and checks every field, the size
// and that the tables are within the stated range. Index bytes cannot be wrong:
// every bit pattern is a valid index. Scales and row sums are not looked at.
// Returns nullptr and fills `matrix`, or returns the reason (a static string).
// One that begins with "unknown" is about what a later version may know.
const char* ParseLutMatrix(const uint8_t* blob, size_t size,
                           LutMatrix* matrix) noexcept;

// Rows [first, first + n) of a matrix, where they lie, for products and
// look-ups; it has no checksum of its own. `first` is a multiple of kBlockRows,
// and so is n unless these are the last rows.
LutMatrix RowsOf(const LutMatrix& matrix, uint32_t first, uint32_t n) noexcept;

// Recomputes the checksum over the whole blob (reads all of it).
bool ChecksumMatches(const LutMatrix& matrix) noexcept;

// The inverse of PackLutMatrix; any output may be nullptr. Scales and offsets
// come back as stored, that is rounded to their type, times the super scale.
void UnpackLutMatrix(const LutMatrix& matrix, uint8_t* indices, float* scales,
                     float* offsets, int8_t* tables) noexcept;
// And the super scales, [N, SupersPerRow] each.
void UnpackSuperScales(const LutMatrix& matrix, float* super_scales,
                       float* super_offsets) noexcept;

// Writes row `row` of w, float [K]: each entry is scale * LUT[index] rounded to
// float32, then plus the offset, if there is one, rounded again. This is also
// the embedding look-up.
void DequantizeRow(const LutMatrix& matrix, uint32_t row,
                   float* values) noexcept;

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_LUT_MATRIX_H_
