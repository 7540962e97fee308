#ifndef LUTRA_KERNELS_FORMAT_BIT_FORMATS_H_
#define LUTRA_KERNELS_FORMAT_BIT_FORMATS_H_

#include <cstddef>
#include <iterator>
#include <type_traits>

#include "lutra/kernels/lut_matrix.h"

// The bit formats of docs/format.md, an entry for each.

namespace lutra::kernels {

struct BitFormat {
  size_t bits;          // of an index, or of a value where there is no table
  size_t unit_columns;  // of what kernels decode at a time
  // Tables with the entries in the order of nibbles, see LutMatrix; 0 where
  // there is no table.
  size_t nibble_tables;
};

inline constexpr BitFormat kBitFormats[] = {
    {1, 32, 4}, {2, 16, 2}, {3, 32, 4}, {4, 8, 1}, {8, 16, 0}};

// nullptr for a number of bits that has none.
constexpr const BitFormat* FindBitFormat(size_t bits) {
  for (const BitFormat& format : kBitFormats) {
    if (format.bits == bits) return &format;
  }
  return nullptr;
}

// What this build has code for (LUTRA_BITS of CMake): bit b stands for the
// format of b bits.
#ifdef LUTRA_BUILT_BITS
inline constexpr unsigned kBuiltBits = LUTRA_BUILT_BITS;
#else
inline constexpr unsigned kBuiltBits = ~0u;
#endif
constexpr bool IsBuilt(size_t bits) {
  return bits < 32 && ((kBuiltBits >> bits) & 1) != 0;
}
static_assert(
    kBuiltBits == ~0u ||
        [](unsigned bits) {
          for (const BitFormat& format : kBitFormats) {
            bits &= ~(1u << format.bits);
          }
          return (bits & ~(1u << 16)) == 0;  // half floats: float/gemm_job.h
        }(kBuiltBits),
    "LUTRA_BITS: not all are bit formats");

template <size_t kBits>
inline constexpr bool kHasTable = FindBitFormat(kBits)->nibble_tables > 0;

// Calls body(std::integral_constant<size_t, bits>()): from a number to code
// that is compiled for each format which is built.
template <size_t kIndex = 0, class Body>
void WithBits(size_t bits, const Body& body) {
  constexpr size_t kBits = kBitFormats[kIndex].bits;
  static_assert(LutFormat{.bits = kBits}.HasTable() == kHasTable<kBits>);
  if constexpr (IsBuilt(kBits)) {
    if (bits == kBits) return body(std::integral_constant<size_t, kBits>());
  }
  if constexpr (kIndex + 1 < std::size(kBitFormats)) {
    WithBits<kIndex + 1>(bits, body);
  }
}

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_FORMAT_BIT_FORMATS_H_
