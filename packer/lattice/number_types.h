#ifndef LUTRA_PACKER_LATTICE_NUMBER_TYPES_H_
#define LUTRA_PACKER_LATTICE_NUMBER_TYPES_H_

#include "kernels/base/half.h"
#include "lutra/kernels/lut_matrix.h"

namespace lutra::packer {

// How scales and offsets are stored: as floats of 16 or 32 bits.
struct NumberTypes {
  kernels::ScaleType scale = kernels::ScaleType::kFloat32;
  kernels::ScaleType offset = kernels::ScaleType::kFloat32;
};

// A number as a type holds it.
inline float RoundTo(kernels::ScaleType type, double number) {
  const auto value = static_cast<float>(number);
  switch (type) {
    case kernels::ScaleType::kBFloat16:
      return RoundToBFloat16(value);
    case kernels::ScaleType::kFloat16:
      return RoundToFloat16(value);
    default:
      break;
  }
  return value;
}

// Which types hold all numbers seen.
class FittingTypes {
 public:
  void Add(float number) {
    bfloat16_ = bfloat16_ && RoundToBFloat16(number) == number;
    float16_ = float16_ && RoundToFloat16(number) == number;
  }
  void Add(const FittingTypes& other) {
    bfloat16_ = bfloat16_ && other.bfloat16_;
    float16_ = float16_ && other.float16_;
  }
  kernels::ScaleType Smallest() const {
    if (bfloat16_) return kernels::ScaleType::kBFloat16;
    return float16_ ? kernels::ScaleType::kFloat16
                    : kernels::ScaleType::kFloat32;
  }

 private:
  bool bfloat16_ = true;
  bool float16_ = true;
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_LATTICE_NUMBER_TYPES_H_
