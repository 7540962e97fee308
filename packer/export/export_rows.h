#ifndef LUTRA_PACKER_EXPORT_EXPORT_ROWS_H_
#define LUTRA_PACKER_EXPORT_EXPORT_ROWS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "packer/export/export_tensors.h"

namespace lutra::packer {

// A row of a packed weight: entries of its table times scales, plus offsets.
struct CodedRow {
  std::span<const int8_t> entries;  // one per column
  size_t group_size = 0;
  std::span<const float> scales;   // of groups
  std::span<const float> offsets;  // of groups; empty: none
  // Of so many columns each, that scales are whole numbers times; empty: none.
  size_t super_size = 0;
  std::span<const float> super_scales;
  std::span<const float> super_offsets;
};

// Rows of tensors of a checkpoint, one below the other, where the model has
// them. Rows come in the order in which a checkpoint stores them; what is read
// lives until the next call. One thread at a time.
class ExportRows {
 public:
  // Row i is row order[i] of the tensors, unless `order` is empty; it may leave
  // rows out. Column i is column
  // columns[i] of theirs. The tensors have the same number of columns. All
  // outlive the object.
  ExportRows(const Model& model, std::vector<const ExportTensor*> tensors,
             std::vector<uint32_t> order, std::vector<uint32_t> columns = {});

  size_t rows() const { return rows_; }
  size_t columns() const { return columns_; }
  // Whether all of it is packed.
  bool quantized() const { return quantized_; }
  // Whether groups of columns are neighbours here, too.
  bool packed() const { return packed_; }

  // Only if packed().
  CodedRow Coded(size_t row);
  std::span<const float> Values(size_t row);

 private:
  struct Place {
    uint32_t piece = 0;
    uint32_t row = 0;  // in the model's tensor
  };
  // Rows of a packed tensor that lie together.
  struct Block {
    const kernels::LutMatrix* matrix = nullptr;
    size_t first = 0;
    std::vector<int8_t> entries;
    std::vector<float> scales;
    std::vector<float> offsets;
    std::vector<float> super_scales;
    std::vector<float> super_offsets;
  };

  void SetColumns(const std::vector<const ExportTensor*>& tensors,
                  std::vector<uint32_t> columns);
  std::span<const float> Column(size_t row);
  CodedRow InOrder(const CodedRow& row);
  const Block& BlockOf(const kernels::LutMatrix& matrix, size_t row);

  const Model& model_;
  std::vector<const ExportPiece*> pieces_;
  std::vector<const kernels::LutMatrix*> matrices_;  // nullptr: floats
  // Of rows; if transposed, of the columns of each matrix.
  std::vector<Place> places_;
  std::vector<uint32_t> row_order_;     // of transposed tensors; may be empty
  std::vector<uint32_t> column_order_;  // see the constructor; may be empty
  size_t rows_ = 0;
  size_t columns_ = 1;
  bool transposed_ = false;
  bool quantized_ = true;
  bool packed_ = true;
  // Rows in the order of a rotary embedding of pairs alternate between two.
  Block blocks_[2];
  size_t next_block_ = 0;
  std::vector<float> scratch_;
  std::vector<float> ordered_;
  std::vector<int8_t> ordered_entries_;
  std::vector<float> ordered_scales_;
  std::vector<float> ordered_offsets_;
  // Some of the rows of transposed tensors, and the first of them.
  std::vector<float> turned_;
  size_t first_turned_ = 0;
};

// Writes numbers of a float type, which holds them, to `to`.
void StoreFloats(std::span<const float> values, DType dtype, uint8_t* to);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_EXPORT_EXPORT_ROWS_H_
