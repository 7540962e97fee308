#include "lutra/kernels/blob_pieces.h"

#include <cstring>

#include "kernels/base/word_hash.h"
#include "kernels/format/layout.h"

namespace lutra::kernels {

static_assert(BlobPieces::kHeaderBytes == kHeaderBytes);
static_assert(BlobPieces::kRows == kBlockRows);

BlobPieces::BlobPieces(const LutFormat& format) noexcept
    : format_(format), hash_(WordHash().value()) {}

LutFormat BlobPieces::PieceFormat(uint32_t rows) const noexcept {
  LutFormat format = format_;
  format.n = rows;
  return format;
}

Span<const uint8_t> BlobPieces::Take(const uint8_t* piece,
                                     uint32_t rows) noexcept {
  const size_t size = BlobBytes(PieceFormat(rows));
  WordHash hash(hash_);
  size_t skip = kHeaderBytes;
  if (next_ == 0) {
    std::memcpy(header_, piece, kHeaderBytes);
    const uint64_t total = BlobBytes(format_);
    std::memcpy(header_ + kNAt, &format_.n, sizeof(format_.n));
    std::memcpy(header_ + kTotalBytesAt, &total, sizeof(total));
    // Where it counts as 0 until all rows are there.
    std::memset(header_ + kChecksumAt, 0, sizeof(uint64_t));
    hash.AddBytes(header_, kHeaderBytes);
    next_ = kHeaderBytes;
  } else if (format_.HasTable()) {
    skip += kTableBytes;
  }
  hash.AddBytes(piece + skip, size - skip);
  hash_ = hash.value();
  std::memcpy(header_ + kChecksumAt, &hash_, sizeof(hash_));
  offset_ = next_;
  next_ += size - skip;
  return {piece + skip, size - skip};
}

}  // namespace lutra::kernels
