#ifndef LUTRA_PACKER_LATTICE_GRIDS_H_
#define LUTRA_PACKER_LATTICE_GRIDS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

// The grids that are looked for.

namespace lutra::packer {

struct Grid {
  enum class Rule {
    kScale,      // level * scale
    kZeroPoint,  // (level - zero) * scale, zero a whole number
    kOffset,     // level * scale + offset
  };
  static constexpr size_t kMaxLevels = 256;
  static constexpr int kMiddle = 128;

  std::string_view name;
  int bits = 0;  // of a code
  Rule rule = Rule::kScale;
  size_t level_count = 0;
  float levels[kMaxLevels] = {};  // rising
  // Whether they are whole numbers. Else the outermost are 1 and -1, `largest`
  // is their number of either sign, and the rest below is of no use.
  bool whole = true;
  uint8_t codes[2 * kMiddle + 1] = {};  // of level m: codes[m + kMiddle]
  // At m + kMiddle: whether m times the scale may occur. Of zero points, any
  // level minus any zero point.
  bool multiples[2 * kMiddle + 1] = {};
  int largest = 0;  // magnitude of those
  int widest = 0;   // distance of two levels

  bool Has(int multiple) const { return multiples[multiple + kMiddle]; }
  // More than a LUT matrix has a table for: whole numbers of 5 to 8 bits.
  bool IsWide() const { return bits > 4; }
};

// From what needs least to what needs most: where two explain the same weights,
// the first does.
std::span<const Grid> Grids();

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_LATTICE_GRIDS_H_
