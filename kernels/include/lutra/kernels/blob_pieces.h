#ifndef LUTRA_KERNELS_BLOB_PIECES_H_
#define LUTRA_KERNELS_BLOB_PIECES_H_

#include <cstddef>
#include <cstdint>

#include "lutra/kernels/lut_matrix.h"
#include "lutra/kernels/span.h"

// A LUT matrix made a few rows at a time, for matrices that memory should not
// hold as a whole. The bytes are those of PackLutMatrix. One thread at a time;
// nothing here allocates or throws.

namespace lutra::kernels {

class BlobPieces {
 public:
  // `format` must pass CheckFormat, and its tables must be one per tensor (or
  // there is none).
  explicit BlobPieces(const LutFormat& format) noexcept;

  // Rows that a piece may have: a multiple of this, but for the last piece.
  static constexpr uint32_t kRows = 16;

  // The format by which to pack `rows` rows as a matrix of their own.
  LutFormat PieceFormat(uint32_t rows) const noexcept;

  // Takes the rows that follow those taken so far, packed as PieceFormat says,
  // and returns the bytes of `piece` to write at offset() of the whole blob:
  // all but its header, and but its table if it is not the first. All pieces
  // have the same table.
  Span<const uint8_t> Take(const uint8_t* piece, uint32_t rows) noexcept;
  // Where the bytes that Take returned last belong.
  size_t offset() const noexcept { return offset_; }

  static constexpr size_t kHeaderBytes = 64;
  // The blob's first kHeaderBytes bytes, valid when all rows have been taken.
  const uint8_t* header() const noexcept { return header_; }

 private:
  LutFormat format_;
  size_t offset_ = 0;  // of the last piece
  size_t next_ = 0;    // of the next one
  uint64_t hash_ = 0;
  uint8_t header_[kHeaderBytes] = {};
};

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_BLOB_PIECES_H_
