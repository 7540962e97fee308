#ifndef LUTRA_PACKER_LATTICE_REFINE_H_
#define LUTRA_PACKER_LATTICE_REFINE_H_

#include <cstdint>
#include <span>

#include "lutra/runtime/safetensors.h"
#include "packer/lattice/grids.h"
#include "packer/lattice/group_fit.h"
#include "packer/lattice/number_types.h"

namespace lutra::packer {

// Moves the numbers of an exact fit: of those of `types` that give all weights
// of the group back after rounding, to such as are nearest to the weights
// without it, about the ones that made them. FitGroup's are simple, and often
// at an end of what is possible. `codes` are those of the weights.
void Refine(const Grid& grid, DType type, const NumberTypes& types,
            std::span<const float> weights, std::span<const uint8_t> codes,
            GroupFit& fit);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_LATTICE_REFINE_H_
