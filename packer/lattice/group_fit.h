#ifndef LUTRA_PACKER_LATTICE_GROUP_FIT_H_
#define LUTRA_PACKER_LATTICE_GROUP_FIT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "lutra/runtime/safetensors.h"
#include "packer/lattice/grids.h"
#include "packer/lattice/group_values.h"

namespace lutra::packer {

// Which scale and offset make the values of a group.
struct GroupFit {
  float scale = 0;  // of either sign
  // Of Rule::kOffset, and of zero points: see StoresZeroPoint.
  float offset = 0;
  int largest = 0;  // magnitude of its multiples; not of Rule::kOffset
  // All that may be put in place of the scale, by magnitude. Not of
  // Rule::kOffset.
  double low = 0;
  double high = 0;
};

// Whether `offset` is the whole zero point that is taken from the level before
// the product, in one rounding, instead of what is added after it. Weights of
// 16 bits leave room for the second.
bool StoresZeroPoint(const Grid& grid, DType type);

// What a code stands for, as float32.
float GridValue(const Grid& grid, DType type, uint8_t code, float scale,
                float offset);

// Numbers that give every value of the group back, bit for bit, once GridValue
// is rounded to `type`; as few binary digits as do. Nothing if there are none.
// `codes` get that of each value: room for GroupValues::kMost, or nullptr.
std::optional<GroupFit> FitGroup(const Grid& grid, DType type,
                                 const GroupValues& values, uint8_t* codes);

// log10 of the chance that values of no grid, spread evenly, would fit as well:
// each value more than scale and offset need has to hit a level. 0 where so few
// values prove nothing. `values` are those of `weights`.
double Log10Chance(const Grid& grid, DType type, std::span<const float> weights,
                   const GroupValues& values, const GroupFit& fit);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_LATTICE_GROUP_FIT_H_
