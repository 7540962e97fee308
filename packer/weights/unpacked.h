#ifndef LUTRA_PACKER_WEIGHTS_UNPACKED_H_
#define LUTRA_PACKER_WEIGHTS_UNPACKED_H_

#include <cstdint>
#include <vector>

#include "lutra/kernels/lut_matrix.h"

namespace lutra::packer {

// What a blob holds, as PackLutMatrix takes it.
struct UnpackedMatrix {
  explicit UnpackedMatrix(const kernels::LutMatrix& matrix);

  bool TablePerRow() const {
    return format.table_granularity == kernels::TableGranularity::kRow;
  }
  // What the scale of a weight of this row is multiplied by.
  int8_t Level(size_t row, uint8_t index) const;
  kernels::LutMatrixValues Values() const;

  kernels::LutFormat format;
  std::vector<uint8_t> indices;
  std::vector<float> scales;
  std::vector<float> offsets;  // zeros where the format has none
  std::vector<float> super_scales;
  std::vector<float> super_offsets;
  std::vector<int8_t> tables;
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_WEIGHTS_UNPACKED_H_
