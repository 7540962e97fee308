#ifndef LUTRA_PACKER_WEIGHTS_ROW_SOURCE_H_
#define LUTRA_PACKER_WEIGHTS_ROW_SOURCE_H_

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "lutra/kernels/lut_matrix.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/safetensors.h"

namespace lutra::packer {

// Reads rows of a weight in a mapped file as float32, a few at a time, so that
// a whole tensor of 16-bit floats or of indices is never held as float32. May
// be used from several threads. The mapping must outlive it.
class RowSource {
 public:
  // A tensor of F32, F16 or BF16: rows by the first dimension if there are
  // several, else one row; at any alignment. Throws Error for other types.
  RowSource(const TensorView& tensor, std::string_view file);
  explicit RowSource(const kernels::LutMatrix& matrix);
  // The weight of that name, packed or not. Throws Error if it is neither.
  static RowSource Of(const Model& model, std::string_view weight);

  // The first rows of floats, and the transpose of floats, whose rows are put
  // together of columns.
  RowSource First(size_t rows) const;
  RowSource Transposed() const;

  size_t rows() const { return rows_; }
  size_t columns() const { return columns_; }

  // `count` rows from `first`: in place, or copied or converted into `scratch`.
  std::span<const float> Rows(size_t first, size_t count,
                              std::vector<float>& scratch) const;

 private:
  void GatherColumns(size_t first, size_t count,
                     std::vector<float>& scratch) const;

  DType dtype_ = DType::kUInt8;
  std::span<const std::byte> data_;  // of floats
  kernels::LutMatrix matrix_;        // of kUInt8
  size_t rows_;
  size_t columns_;
  bool transposed_ = false;
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_WEIGHTS_ROW_SOURCE_H_
