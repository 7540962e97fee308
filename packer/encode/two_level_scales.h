#ifndef LUTRA_PACKER_ENCODE_TWO_LEVEL_SCALES_H_
#define LUTRA_PACKER_ENCODE_TWO_LEVEL_SCALES_H_

#include <span>

#include "lutra/kernels/lut_matrix.h"

// Scales as products: an int8 number for a group times a bfloat16 number for
// the groups of 256 columns, or of a row.

namespace lutra::packer {

// Rounds the scales of a row to what `format` holds. Of the super scales
// that let the largest scale of a span take one of the upper numbers, that with
// the smallest sum of weight * (change of scale)^2 is taken; `weights` has the
// sum of squared levels of each group.
void RoundToTwoLevels(const kernels::LutFormat& format,
                      std::span<const double> weights, std::span<float> scales,
                      std::span<float> super_scales);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_ENCODE_TWO_LEVEL_SCALES_H_
