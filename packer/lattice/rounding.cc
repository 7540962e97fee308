#include "packer/lattice/rounding.h"

#include <bit>
#include <cmath>
#include <cstdint>

#include "kernels/base/half.h"

namespace lutra::packer {
namespace {

// The value of the type whose magnitude has these bits.
float Value(DType type, uint32_t bits) {
  switch (type) {
    case DType::kBFloat16:
      return FloatFromBFloat16(static_cast<uint16_t>(bits));
    case DType::kFloat16:
      return FloatFromFloat16(static_cast<uint16_t>(bits));
    default:
      return std::bit_cast<float>(bits);
  }
}

uint32_t Bits(DType type, float magnitude) {
  switch (type) {
    case DType::kBFloat16:
      return BFloat16FromFloat(magnitude);
    case DType::kFloat16:
      return Float16FromFloat(magnitude);
    default:
      return std::bit_cast<uint32_t>(magnitude);
  }
}

}  // namespace

float RoundTo(DType type, float value) {
  switch (type) {
    case DType::kBFloat16:
      return RoundToBFloat16(value);
    case DType::kFloat16:
      return RoundToFloat16(value);
    default:
      return value;
  }
}

Interval RoundsTo(DType type, float value) {
  const float magnitude = std::abs(value);
  const uint32_t bits = Bits(type, magnitude);
  const double above = double{Value(type, bits + 1)};
  if (bits == 0) return {-above / 2, above / 2};
  const double below = double{Value(type, bits - 1)};
  const double low = (double{magnitude} + below) / 2;
  // The largest value has no neighbour above.
  const double high = std::isfinite(above) ? (double{magnitude} + above) / 2
                                           : double{magnitude} * 2 - low;
  return {low, high};
}

}  // namespace lutra::packer
