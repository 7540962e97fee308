#ifndef LUTRA_PACKER_LATTICE_ROUNDING_H_
#define LUTRA_PACKER_LATTICE_ROUNDING_H_

#include "lutra/runtime/safetensors.h"

namespace lutra::packer {

// A float32 value as a tensor of the type stores it: F32, F16 or BF16.
float RoundTo(DType type, float value);

// The real numbers that a type rounds to the magnitude of one of its values.
// The ends round to it or to its neighbours.
struct Interval {
  double low = 0;
  double high = 0;
};
Interval RoundsTo(DType type, float value);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_LATTICE_ROUNDING_H_
