#ifndef LUTRA_PACKER_LATTICE_ROUNDING_H_
#define LUTRA_PACKER_LATTICE_ROUNDING_H_

#include <bit>
#include <cmath>
#include <cstdint>

#include "kernels/base/half.h"
#include "lutra/runtime/safetensors.h"

namespace lutra::packer {

// A float32 value as a tensor of the type stores it: F32, F16 or BF16.
inline float RoundTo(DType type, float value) {
  switch (type) {
    case DType::kBFloat16:
      return RoundToBFloat16(value);
    case DType::kFloat16:
      return RoundToFloat16(value);
    default:
      return value;
  }
}

// The smallest magnitude below which values have fewer digits.
inline float SmallestNormal(DType type) {
  return type == DType::kFloat16 ? 0x1p-14f : 0x1p-126f;
}

// The real numbers that a type rounds to the magnitude of one of its values.
// The ends round to it or to its neighbours.
struct Interval {
  double low;
  double high;
};

inline Interval RoundsTo(DType type, float value) {
  const float magnitude = std::abs(value);
  const uint32_t bits = std::bit_cast<uint32_t>(magnitude);
  if (type == DType::kFloat16 && magnitude < 0x1p-13f) {
    // The numbers around the smallest are as far apart as these.
    return {double{magnitude} - 0x1p-25, double{magnitude} + 0x1p-25};
  }
  if (type != DType::kFloat32) {
    // Half of the distance to the next number, as a step of the bits.
    const uint32_t half = type == DType::kFloat16 ? 0x1000 : 0x8000;
    const double high = double{std::bit_cast<float>(bits + half)};
    if (bits == 0) return {-high, high};
    return {double{std::bit_cast<float>(bits - half)}, high};
  }
  const double above = double{std::bit_cast<float>(bits + 1)};
  if (bits == 0) return {-above / 2, above / 2};
  const double below = double{std::bit_cast<float>(bits - 1)};
  const double low = (double{magnitude} + below) / 2;
  // The largest value has no neighbour above.
  const double high = std::isfinite(above) ? (double{magnitude} + above) / 2
                                           : double{magnitude} * 2 - low;
  return {low, high};
}

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_LATTICE_ROUNDING_H_
