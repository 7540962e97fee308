#ifndef LUTRA_PACKER_ENCODE_TWO_LEVEL_SCALES_H_
#define LUTRA_PACKER_ENCODE_TWO_LEVEL_SCALES_H_

#include <cstddef>
#include <span>
#include <vector>

#include "lutra/kernels/lut_matrix.h"

// Scales as products: a whole number for a group times a number for the groups
// of 256 columns, or of a row.

namespace lutra::packer {

// Rounds the scales of a row to what `format` holds, whose scales are kInt8 and
// have super scales. Of the super scales
// that let the largest scale of a span take one of the upper numbers, that with
// the smallest sum of weight * (change of scale)^2 is taken; `weights` has the
// sum of squared levels of each group.
void RoundToTwoLevels(const kernels::LutFormat& format,
                      std::span<const double> weights, std::span<float> scales,
                      std::span<float> super_scales);

// The weights of a row whose column c has level(c).
template <class Level>
std::vector<double> SquaredLevels(const kernels::LutFormat& format,
                                  const Level& level) {
  std::vector<double> sums(format.GroupsPerRow());
  for (size_t c = 0; c < format.k; ++c) {
    const double value = level(c);
    sums[c / format.group_size] += value * value;
  }
  return sums;
}

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_ENCODE_TWO_LEVEL_SCALES_H_
