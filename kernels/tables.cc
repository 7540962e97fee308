#include <cstring>

#include "kernels/gemm_job.h"

namespace lutra::kernels {
namespace {

// Entry that nibble `i` of table `t` selects, with one table for the tensor. A
// nibble holds the indices of two or four tiles, or parts of them; each table
// looks at the bits of one of these and ignores the rest.
size_t EntryOfNibble(size_t bits, size_t t, size_t i) {
  switch (bits) {
    case 1:
      return (i >> t) & 1;
    case 2:
      return t == 0 ? i & 3 : i >> 2;
    case 3: {
      // Even tiles: low bits in 0-1, bit 2 of the index in bit 2 or 3.
      // Odd tiles: low bits in 2-3, bit 2 of the index in bit 0 or 1.
      const size_t low = t % 2 == 0 ? i & 3 : i >> 2;
      const size_t high = t % 2 == 0 ? i >> 2 : i & 3;
      return low | (((high >> (t / 2)) & 1) << 2);
    }
    default:
      return i;
  }
}

size_t TablesPerTensor(size_t bits) {
  constexpr size_t kCount[] = {0, 4, 2, 4, 1};
  return kCount[bits];
}

}  // namespace

// With one table for the tensor, a table of 16 entries is repeated for each
// block of 16 bytes (4 rows), because look-ups stay within such blocks. With a
// table per row, the tables of 4 rows share the 16 bytes: with 3 bits they take
// two tables (rows 0-1, rows 2-3), with 4 bits one table for each row. 8-bit
// values have no table but a mask to combine with.
void PrepareTables(const GemmJob& job, const uint8_t* row_block, int8_t bias,
                   DecodeTables* tables) noexcept {
  const LutFormat& format = job.w.format;
  if (!format.HasTable()) {
    // Values are made unsigned by flipping their sign bit.
    std::memset(tables->bytes[0], bias & 0x80, kTileBytes);
    return;
  }
  const auto biased = [bias](uint8_t entry) {
    return static_cast<uint8_t>(entry - static_cast<uint8_t>(bias));
  };
  if (job.w.table != nullptr) {
    for (size_t t = 0; t < TablesPerTensor(format.bits); ++t) {
      for (size_t i = 0; i < kTileBytes; ++i) {
        const size_t entry = EntryOfNibble(format.bits, t, i % 16);
        tables->bytes[t][i] = biased(static_cast<uint8_t>(job.w.table[entry]));
      }
    }
    return;
  }
  const uint8_t* from = row_block + job.layout.tables;
  const size_t entries = format.TableEntries();
  if (format.bits == 1) std::memset(tables->bytes[0], 0, kTileBytes);
  for (size_t row = 0; row < kBlockRows; ++row) {
    const size_t at = row % 4 * entries;
    uint8_t* to = &tables->bytes[at / 16][row / 4 * 16 + at % 16];
    for (size_t i = 0; i < entries; ++i) {
      to[i] = biased(from[row * entries + i]);
    }
  }
}

}  // namespace lutra::kernels
