#include "packer/weights/row_source.h"

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "kernels/base/half.h"
#include "lutra/runtime/error.h"

namespace lutra::packer {
namespace {

template <typename Convert>
void ConvertAll(const std::byte* data, std::span<float> values,
                const Convert& convert) {
  for (size_t i = 0; i < values.size(); ++i) {
    uint16_t bits;
    std::memcpy(&bits, data + i * sizeof(bits), sizeof(bits));
    values[i] = convert(bits);
  }
}

// Of a float type, at any alignment.
float ToFloat(DType dtype, const std::byte* data) {
  if (dtype == DType::kFloat32) {
    float value;
    std::memcpy(&value, data, sizeof(value));
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, data, sizeof(bits));
  return dtype == DType::kBFloat16 ? FloatFromBFloat16(bits)
                                   : FloatFromFloat16(bits);
}

}  // namespace

RowSource::RowSource(const TensorView& tensor, std::string_view file)
    : dtype_(tensor.dtype),
      data_(tensor.data),
      rows_(tensor.ElementCount() == 0 ? 0
            : tensor.shape.size() > 1  ? static_cast<size_t>(tensor.shape[0])
                                       : 1),
      columns_(rows_ == 0 ? 0 : tensor.ElementCount() / rows_) {
  switch (dtype_) {
    case DType::kFloat32:
    case DType::kFloat16:
    case DType::kBFloat16:
      break;
    default:
      throw Error::InTensor(
          file, tensor.name,
          "has the type " + std::string(Name(dtype_)) + ", not a float type");
  }
}

RowSource::RowSource(const kernels::LutMatrix& matrix)
    : matrix_(matrix), rows_(matrix.format.n), columns_(matrix.format.k) {}

RowSource RowSource::Of(const Model& model, std::string_view weight) {
  const kernels::LutMatrix* matrix = model.packed(weight);
  if (matrix != nullptr) return RowSource(*matrix);
  return RowSource(model.file().Get(weight), model.path());
}

RowSource RowSource::First(size_t rows) const {
  RowSource source = *this;
  source.rows_ = rows;
  source.data_ = data_.first(rows * columns_ * ByteSize(dtype_));
  return source;
}

RowSource RowSource::Transposed() const {
  RowSource source = *this;
  std::swap(source.rows_, source.columns_);
  source.transposed_ = !transposed_;
  return source;
}

void RowSource::GatherColumns(size_t first, size_t count,
                              std::vector<float>& scratch) const {
  scratch.resize(count * columns_);
  const size_t size = ByteSize(dtype_);
  // Columns that share a line of memory together.
  for (size_t c = 0; c < columns_; ++c) {
    const std::byte* from = data_.data() + (c * rows_ + first) * size;
    for (size_t r = 0; r < count; ++r, from += size) {
      scratch[r * columns_ + c] = ToFloat(dtype_, from);
    }
  }
}

std::span<const float> RowSource::Rows(size_t first, size_t count,
                                       std::vector<float>& scratch) const {
  const size_t elements = count * columns_;
  if (transposed_) {
    GatherColumns(first, count, scratch);
    return scratch;
  }
  if (dtype_ == DType::kUInt8) {
    scratch.resize(elements);
    for (size_t i = 0; i < count; ++i) {
      kernels::DequantizeRow(matrix_, static_cast<uint32_t>(first + i),
                             scratch.data() + i * columns_);
    }
    return scratch;
  }
  const std::byte* data = data_.data() + first * columns_ * ByteSize(dtype_);
  const bool aligned = reinterpret_cast<uintptr_t>(data) % alignof(float) == 0;
  if (dtype_ == DType::kFloat32 && aligned) {
    return {reinterpret_cast<const float*>(data), elements};
  }
  scratch.resize(elements);
  if (dtype_ == DType::kFloat32) {
    std::memcpy(scratch.data(), data, elements * sizeof(float));
    return scratch;
  }
  if (dtype_ == DType::kBFloat16) {
    ConvertAll(data, scratch, FloatFromBFloat16);
  } else {
    ConvertAll(data, scratch, FloatFromFloat16);
  }
  return scratch;
}

}  // namespace lutra::packer
