#ifndef LUTRA_PACKER_LATTICE_NEAREST_H_
#define LUTRA_PACKER_LATTICE_NEAREST_H_

#include <cstdint>
#include <span>

#include "lutra/runtime/safetensors.h"
#include "packer/lattice/grids.h"
#include "packer/lattice/group_fit.h"
#include "packer/lattice/number_types.h"

namespace lutra::packer {

// Scale and offset that bring a grid near to weights that are not on it, by the
// squared error, of the types `types`. `codes` gets the nearest
// level of each weight. Weights that are not finite count as 0.
GroupFit NearestOnGrid(const Grid& grid, DType type, const NumberTypes& types,
                       std::span<const float> weights, uint8_t* codes);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_LATTICE_NEAREST_H_
