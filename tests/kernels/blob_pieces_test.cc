#include "lutra/kernels/blob_pieces.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "lutra/kernels/lut_matrix.h"
#include "tests/kernels/random_matrix.h"

namespace lutra::kernels {
namespace {

template <typename T>
const T* From(const std::vector<T>& values, size_t at) {
  return values.empty() ? nullptr : values.data() + at;
}

// The bytes of `whole` made of pieces of `rows` rows.
std::vector<uint8_t> MadeOfPieces(const RandomMatrix& whole, uint32_t rows) {
  const LutFormat& format = whole.format;
  const size_t groups = format.GroupsPerRow();
  const size_t supers = format.SupersPerRow();
  // What nobody writes stays 0xAA.
  std::vector<uint8_t> bytes(whole.blob_bytes, 0xAA);
  BlobPieces pieces(format);
  for (uint32_t first = 0; first < format.n; first += rows) {
    const uint32_t count = std::min(rows, format.n - first);
    const LutFormat piece = pieces.PieceFormat(count);
    const AlignedBytes blob = AllocateAligned(BlobBytes(piece));
    PackLutMatrix(piece,
                  {.indices = whole.indices.data() + size_t{first} * format.k,
                   .scales = whole.scales.data() + first * groups,
                   .offsets = From(whole.offsets, first * groups),
                   .super_scales = From(whole.super_scales, first * supers),
                   .super_offsets = From(whole.super_offsets, first * supers),
                   .tables = whole.tables.data()},
                  blob.get());
    const Span<const uint8_t> part = pieces.Take(blob.get(), count);
    std::copy(part.begin(), part.end(),
              bytes.begin() + static_cast<ptrdiff_t>(pieces.offset()));
  }
  std::memcpy(bytes.data(), pieces.header(), BlobPieces::kHeaderBytes);
  return bytes;
}

TEST(BlobPiecesTest, HaveTheBytesOfTheWhole) {
  std::mt19937 rng(1);
  for (LutFormat format : EveryEncoding()) {
    if (format.table_granularity == TableGranularity::kRow) continue;
    format.n = 2 * BlobPieces::kRows + 5;
    format.k = 40;
    const RandomMatrix whole = MakeRandomMatrix(format, TableKind::kSmall, rng);
    const std::vector<uint8_t> expected(whole.blob.get(),
                                        whole.blob.get() + whole.blob_bytes);
    for (const uint32_t rows : {1u, 2u, 3u}) {
      ASSERT_EQ(MadeOfPieces(whole, rows * BlobPieces::kRows), expected)
          << format.bits << " bits, " << rows << " blocks";
    }
  }
}

}  // namespace
}  // namespace lutra::kernels
