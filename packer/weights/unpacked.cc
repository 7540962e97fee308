#include "packer/weights/unpacked.h"

namespace lutra::packer {

UnpackedMatrix::UnpackedMatrix(const kernels::LutMatrix& matrix)
    : format(matrix.format) {
  const size_t n = format.n;
  indices.resize(n * format.k);
  scales.resize(n * format.GroupsPerRow());
  offsets.resize(scales.size());
  tables.resize((TablePerRow() ? n : 1) * format.TableEntries());
  kernels::UnpackLutMatrix(matrix, indices.data(), scales.data(),
                           offsets.data(), tables.data());
  super_scales.resize(n * format.SupersPerRow());
  super_offsets.resize(super_scales.size());
  kernels::UnpackSuperScales(matrix, super_scales.data(), super_offsets.data());
}

int8_t UnpackedMatrix::Level(size_t row, uint8_t index) const {
  if (!format.HasTable()) return static_cast<int8_t>(index);
  return tables[(TablePerRow() ? row * format.TableEntries() : 0) + index];
}

kernels::LutMatrixValues UnpackedMatrix::Values() const {
  return {.indices = indices.data(),
          .scales = scales.data(),
          .offsets = offsets.data(),
          .super_scales = super_scales.data(),
          .super_offsets = super_offsets.data(),
          .tables = tables.data()};
}

}  // namespace lutra::packer
