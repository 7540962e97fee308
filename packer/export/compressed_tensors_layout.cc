#include "packer/export/packed_layout.h"

#include <algorithm>
#include <cstdint>

#include "lutra/kernels/lut_matrix.h"

namespace lutra::packer {
namespace {

size_t DivideUp(size_t a, size_t b) { return (a + b - 1) / b; }

class CompressedTensorsLayout final : public PackedLayout {
 public:
  CompressedTensorsLayout(const Model& model, const ExportTensor& tensor)
      : PackedLayout(model, tensor),
        matrix_(*model.packed(tensor.pieces[0].name)) {}

  bool Holds() {
    const kernels::LutFormat& format = matrix_.format;
    const ExportPiece& only = tensor_.pieces[0];
    if (tensor_.pieces.size() != 1 || only.step != 1 || only.first != 0 ||
        only.count != format.n ||
        format.offset_type != kernels::OffsetType::kNone ||
        format.table_granularity != kernels::TableGranularity::kTensor) {
      return false;
    }
    bits_ = format.bits;
    const int half = 1 << (format.bits - 1);
    for (size_t i = 0; i < format.TableEntries(); ++i) {
      if (matrix_.table[i] != static_cast<int>(i) - half) return false;
    }
    if (format.group_size == format.k) return true;
    // A short last group is not what its readers expect.
    group_size_ = format.group_size;
    return format.k % format.group_size == 0;
  }

  std::vector<TensorInfo> Tensors(const std::string& stem) const override;
  void Write(const std::string& stem, const WritePart& write) const override;

 private:
  const kernels::LutMatrix& matrix_;
};

std::vector<TensorInfo> CompressedTensorsLayout::Tensors(
    const std::string& stem) const {
  const kernels::LutFormat& format = matrix_.format;
  const auto rows = static_cast<int64_t>(format.n);
  const auto words =
      static_cast<int64_t>(DivideUp(size_t{format.k} * bits_, 32));
  return {{stem + ".weight_packed", DType::kInt32, {rows, words}},
          {stem + ".weight_scale",
           DType::kFloat32,
           {rows, static_cast<int64_t>(format.GroupsPerRow())}},
          {stem + ".weight_shape", DType::kInt64, {2}}};
}

void CompressedTensorsLayout::Write(const std::string& stem,
                                    const WritePart& write) const {
  const kernels::LutFormat& format = matrix_.format;
  const size_t columns = format.k;
  const size_t groups = format.GroupsPerRow();
  const int64_t shape[] = {format.n, format.k};
  write(stem + ".weight_shape", 0, std::as_bytes(std::span(shape)));
  std::vector<uint8_t> indices(kernels::kBlockRows * columns);
  std::vector<float> scales(kernels::kBlockRows * groups);
  std::vector<uint32_t> words(DivideUp(columns * bits_, 32));
  for (uint32_t first = 0; first < format.n; first += kernels::kBlockRows) {
    const uint32_t count =
        std::min<uint32_t>(kernels::kBlockRows, format.n - first);
    kernels::UnpackLutMatrix(kernels::RowsOf(matrix_, first, count),
                             indices.data(), scales.data(), nullptr, nullptr);
    write(stem + ".weight_scale", first * groups * sizeof(float),
          std::as_bytes(std::span(scales).first(count * groups)));
    for (size_t row = 0; row < count; ++row) {
      std::fill(words.begin(), words.end(), 0u);
      for (size_t c = 0; c < columns; ++c) {
        uint32_t field = indices[row * columns + c];
        // Eight bits are values, not codes.
        if (bits_ == 8) field = (field + 128) & 255;
        const size_t at = c * bits_;
        words[at / 32] |= field << (at % 32);
        if (at % 32 + bits_ > 32) words[at / 32 + 1] |= field >> (32 - at % 32);
      }
      const auto bytes = std::as_bytes(std::span(words));
      write(stem + ".weight_packed", (first + row) * bytes.size(), bytes);
    }
  }
}

}  // namespace

std::unique_ptr<PackedLayout> FindCompressedTensorsLayout(
    const Model& model, const ExportTensor& tensor) {
  auto layout = std::make_unique<CompressedTensorsLayout>(model, tensor);
  if (!layout->Holds()) return nullptr;
  return layout;
}

}  // namespace lutra::packer
