#ifndef LUTRA_PACKER_EXPORT_PACKED_LAYOUT_H_
#define LUTRA_PACKER_EXPORT_PACKED_LAYOUT_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lutra/kernels/lut_matrix.h"
#include "lutra/runtime/safetensors.h"

namespace lutra::packer {

// A LUT matrix in the layout pack-quantized of compressed-tensors: fields of
// value + 2^(bits - 1), 32 / bits of them in a word where bits divide 32 and a
// dense stream else, with scales [rows, groups].
class PackedLayout {
 public:
  // nullopt if the matrix has other levels than whole numbers one after the
  // other, or offsets.
  static std::optional<PackedLayout> Of(const kernels::LutMatrix& matrix);

  size_t bits() const { return bits_; }
  // 0: one per row.
  size_t group_size() const { return group_size_; }
  // The tensors that stand for the weight "STEM.weight".
  std::vector<TensorInfo> Tensors(const std::string& stem) const;
  // Writes them: write(name, offset, bytes).
  void Write(
      const std::string& stem,
      const std::function<void(const std::string&, size_t,
                               std::span<const std::byte>)>& write) const;

 private:
  explicit PackedLayout(const kernels::LutMatrix& matrix) : matrix_(matrix) {}

  kernels::LutMatrix matrix_;
  size_t bits_ = 0;
  size_t group_size_ = 0;
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_EXPORT_PACKED_LAYOUT_H_
