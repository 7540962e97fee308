#ifndef LUTRA_PACKER_LATTICE_FOLDED_H_
#define LUTRA_PACKER_LATTICE_FOLDED_H_

#include <vector>

#include "lutra/runtime/safetensors.h"

namespace lutra::packer {

// Whether rows look like those of a grid whose columns were multiplied, each by
// a number of its own, and rounded again: the quotient of two rows, which does
// not have these numbers in it, is then one of a few fractions times a number.
// What was is lost in the second rounding.
bool LooksFolded(DType type, const std::vector<std::vector<float>>& rows);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_LATTICE_FOLDED_H_
