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
  static constexpr size_t kMaxLevels = 16;

  std::string_view name;
  int bits = 0;  // of a code
  Rule rule = Rule::kScale;
  size_t level_count = 0;
  int8_t levels[kMaxLevels] = {};
  int8_t codes[31] = {};  // of level m: codes[m + kMiddle]
  // Bit m + kMiddle: m times the scale may occur. Of zero points, any level
  // minus any zero point.
  uint32_t multiples = 0;
  int largest = 0;  // magnitude of those
  int widest = 0;   // distance of two levels

  static constexpr int kMiddle = 15;
  bool Has(int multiple) const {
    return (multiples >> (multiple + kMiddle) & 1) != 0;
  }
};

// From what needs least to what needs most: where two explain the same weights,
// the first does.
std::span<const Grid> Grids();

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_LATTICE_GRIDS_H_
