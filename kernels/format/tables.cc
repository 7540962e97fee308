#include "kernels/format/tables.h"

#include <cstring>

namespace lutra::kernels {
namespace {

// Entry that nibble `i` of table `t` selects, with one table for the tensor. A
// nibble holds the indices of two or four tiles, or parts of them; each table
// looks at the bits of one of these and ignores the rest.
template <size_t kBits>
size_t EntryOfNibble(size_t t, size_t i) {
  if constexpr (kBits == 3) {
    // Even tiles: low bits in 0-1, bit 2 of the index in bit 2 or 3.
    // Odd tiles: low bits in 2-3, bit 2 of the index in bit 0 or 1.
    const size_t low = t % 2 == 0 ? i & 3 : i >> 2;
    const size_t high = t % 2 == 0 ? i >> 2 : i & 3;
    return low | (((high >> (t / 2)) & 1) << 2);
  } else {
    return (i >> (kBits * t)) & ((1 << kBits) - 1);
  }
}

}  // namespace

void OrderByNibble(size_t bits, const int8_t* table,
                   uint8_t (*nibble_tables)[16]) noexcept {
  WithBits(bits, [=](auto known) {
    for (size_t t = 0; t < FindBitFormat(known)->nibble_tables; ++t) {
      for (size_t i = 0; i < 16; ++i) {
        nibble_tables[t][i] =
            static_cast<uint8_t>(table[EntryOfNibble<known>(t, i)]);
      }
    }
  });
}

// The tables of 4 rows share 16 bytes: with 3 bits they take two tables (rows
// 0-1, rows 2-3), with 4 bits one table for each row.
void OrderRowTables(const LutMatrix& w, const uint8_t* row_block, int8_t bias,
                    DecodeTables* tables) noexcept {
  const uint8_t* from = row_block + w.geometry.tables;
  const size_t entries = w.format.TableEntries();
  if (w.format.bits == 1) std::memset(tables->bytes[0], 0, kTileBytes);
  for (size_t row = 0; row < kBlockRows; ++row) {
    const size_t at = row % 4 * entries;
    uint8_t* to = &tables->bytes[at / 16][row / 4 * 16 + at % 16];
    for (size_t i = 0; i < entries; ++i) {
      to[i] = static_cast<uint8_t>(from[row * entries + i] -
                                   static_cast<uint8_t>(bias));
    }
  }
}

}  // namespace lutra::kernels
