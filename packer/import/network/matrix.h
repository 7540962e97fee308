#ifndef LUTRA_PACKER_IMPORT_NETWORK_MATRIX_H_
#define LUTRA_PACKER_IMPORT_NETWORK_MATRIX_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "packer/import/network/constant.h"
#include "packer/import/stored/stored_weight.h"

namespace lutra::packer {

// The weight of a layer [N, K] as elements of a constant: element [n, k] lies
// at rows[n] + columns[k].
struct Matrix {
  Constant constant;
  std::vector<uint32_t> rows;
  std::vector<uint32_t> columns;
  // Of convolutions in groups: rows and columns of different groups have
  // zeros. Empty: one group.
  std::vector<uint32_t> row_groups;
  std::vector<uint32_t> column_groups;

  float Value(size_t row, size_t column) const;
  // As integers with their scales; nullopt if it is not quantized, or if scales
  // are not those of groups of neighbouring columns. `file` is for messages.
  std::optional<StoredWeight> Stored(const std::string& file) const;
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_NETWORK_MATRIX_H_
