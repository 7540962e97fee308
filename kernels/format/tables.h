#ifndef LUTRA_KERNELS_FORMAT_TABLES_H_
#define LUTRA_KERNELS_FORMAT_TABLES_H_

#include <cstddef>
#include <cstdint>

#include "kernels/format/layout.h"

// Tables in the order that decoders look entries up.

namespace lutra::kernels {

// A table of 16 entries for each of up to four places in a nibble, see
// LutMatrix::nibble_tables. `table` has 16 entries.
void OrderByNibble(size_t bits, const int8_t* table,
                   uint8_t (*nibble_tables)[16]) noexcept;

// Look-ups stay within blocks of 16 bytes (4 rows), so each block of these has
// its own 16 entries.
struct DecodeTables {
  alignas(64) uint8_t bytes[4][kTileBytes];
};

// The tables of a row block of a matrix with a table per row; entries become
// entry - bias.
void OrderRowTables(const LutMatrix& w, const uint8_t* row_block, int8_t bias,
                    DecodeTables* tables) noexcept;

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_FORMAT_TABLES_H_
