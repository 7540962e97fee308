#ifndef LUTRA_KERNELS_LUT_MATRIX_H_
#define LUTRA_KERNELS_LUT_MATRIX_H_

#include <cstddef>
#include <cstdint>

// A LUT matrix is a weight matrix [N, K] whose entries are
//
//   w[n][k] = scale[n][k / group_size] * LUT[index[n][k]]
//
// stored as one self-describing blob. docs/format.md specifies the bytes; they
// are the same for every CPU, and the kernels read them in place.
//
// Nothing here allocates, throws or keeps state; all functions may be called
// from several threads at once.

namespace lutra::kernels {

enum class TableGranularity : uint8_t { kTensor = 0, kRow = 1 };
enum class ScaleType : uint8_t { kFloat32 = 0, kBFloat16 = 1, kFloat16 = 2 };

// Blobs start at an address and have a size that are multiples of this.
inline constexpr size_t kBlobAlignment = 64;

// With |LUT| <= 128 and |activation| <= 128, the dot product of one group of
// this many columns fits int32, also with the table biased to unsigned bytes.
inline constexpr uint32_t kMaxGroupSize = 65536;
inline constexpr uint32_t kMinGroupSize = 16;
// Limit on N and on K.
inline constexpr uint32_t kMaxDimension = 1u << 30;

// The choices that fix a blob's size and meaning.
struct LutFormat {
  uint32_t n = 0;     // output features: rows of the weight
  uint32_t k = 0;     // input features: columns of the weight
  uint32_t bits = 2;  // bits per index; the table has 2^bits entries
  // Columns that share a scale: k for one scale per row, else a multiple of 16
  // below k. The last group of a row may be short.
  uint32_t group_size = 64;
  TableGranularity table_granularity = TableGranularity::kTensor;
  ScaleType scale_type = ScaleType::kFloat32;

  constexpr uint32_t GroupsPerRow() const {
    return (k + group_size - 1) / group_size;
  }
  constexpr uint32_t TableEntries() const { return 1u << bits; }
};

// Returns nullptr if blobs of this format exist, else the reason why not (a
// static string).
const char* CheckFormat(const LutFormat& format) noexcept;

// Size in bytes of a blob, a multiple of kBlobAlignment. `format` must pass
// CheckFormat; the result may be 0 if it does not fit size_t.
size_t BlobBytes(const LutFormat& format) noexcept;

// Fills `blob` (BlobBytes(format) bytes, aligned to kBlobAlignment).
//   indices  uint8 [N, K] row-major, each below 2^bits
//   scales   float [N, GroupsPerRow] row-major, finite also after rounding to
//            scale_type
//   tables   int8 [2^bits], or [N, 2^bits] with a table per row
void PackLutMatrix(const LutFormat& format, const uint8_t* indices,
                   const float* scales, const int8_t* tables,
                   uint8_t* blob) noexcept;

// A parsed blob: the format and pointers into bytes owned by the caller, which
// must outlive it. Cheap to copy.
struct LutMatrix {
  LutFormat format;
  const uint8_t* blob = nullptr;
  // Smallest and largest entry of all tables.
  int8_t table_min = 0;
  int8_t table_max = 0;
  const int8_t* table = nullptr;        // [16], zero padded; per tensor only
  const uint8_t* row_blocks = nullptr;  // ceil(N / 16) blocks of 16 rows
  size_t row_block_bytes = 0;
};

// Reads the header of `size` untrusted bytes and checks every field, the size
// and that the tables are within the stated range. Index bytes cannot be wrong:
// every bit pattern is a valid index. Scales and row sums are not looked at.
// Returns nullptr and fills `matrix`, or returns the reason (a static string).
const char* ParseLutMatrix(const uint8_t* blob, size_t size,
                           LutMatrix* matrix) noexcept;

// Recomputes the checksum over the whole blob (reads all of it).
bool ChecksumMatches(const LutMatrix& matrix) noexcept;

// The inverse of PackLutMatrix; any output may be nullptr. Scales come back as
// stored, that is rounded to the scale type.
void UnpackLutMatrix(const LutMatrix& matrix, uint8_t* indices, float* scales,
                     int8_t* tables) noexcept;

// Writes row `row` of w, float [K]: each entry is scale * LUT[index] rounded
// once to float32. This is also the embedding look-up.
void DequantizeRow(const LutMatrix& matrix, uint32_t row,
                   float* values) noexcept;

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_LUT_MATRIX_H_
