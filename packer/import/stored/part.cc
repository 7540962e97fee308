#include "packer/import/stored/part.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "kernels/base/float8.h"
#include "kernels/base/half.h"
#include "lutra/runtime/error.h"

namespace lutra::packer {
namespace {

template <typename T>
T Load(const std::byte* data, size_t i) {
  T value;
  std::memcpy(&value, data + i * sizeof(T), sizeof(T));
  return value;
}

}  // namespace

Part::Part(RawTensor tensor, std::initializer_list<DType> types)
    : tensor_(std::move(tensor)) {
  if (!present()) return;
  data_ = tensor_.view.data.data();
  size_ = tensor_.view.ElementCount();
  if (std::find(types.begin(), types.end(), dtype()) == types.end()) {
    Fail("is of type " + std::string(Name(dtype())));
  }
}

size_t Part::Dim(size_t i) const {
  return i < shape().size() ? static_cast<size_t>(shape()[i]) : 1;
}

void Part::Fail(const std::string& cause) const {
  throw Error::InTensor(tensor_.file, tensor_.view.name, cause);
}

void Part::CheckMatrix(size_t rows, size_t columns) const {
  std::vector<int64_t> given = shape();
  std::vector<int64_t> wanted = {static_cast<int64_t>(rows),
                                 static_cast<int64_t>(columns)};
  const std::vector<int64_t> expected = wanted;
  std::erase(given, 1);
  std::erase(wanted, 1);
  if (given == wanted) return;
  Fail("has the shape " + ShapeToString(shape()) + ", expected " +
       ShapeToString(expected));
}

float Part::Float(size_t i) const {
  switch (dtype()) {
    case DType::kFloat32:
      return Load<float>(data_, i);
    case DType::kFloat16:
      return FloatFromFloat16(Load<uint16_t>(data_, i));
    case DType::kBFloat16:
      return FloatFromBFloat16(Load<uint16_t>(data_, i));
    case DType::kFloat8E4M3:
      return FloatFromE4M3(Byte(i));
    case DType::kFloat8E8M0:
      return FloatFromE8M0(Byte(i));
    default:
      return static_cast<float>(Integer(i));
  }
}

int64_t Part::Integer(size_t i) const {
  switch (dtype()) {
    case DType::kInt8:
      return Load<int8_t>(data_, i);
    case DType::kUInt8:
    case DType::kBool:
      return Load<uint8_t>(data_, i);
    case DType::kInt16:
      return Load<int16_t>(data_, i);
    case DType::kInt32:
      return Load<int32_t>(data_, i);
    case DType::kUInt32:
      return Load<uint32_t>(data_, i);
    case DType::kInt64:
      return Load<int64_t>(data_, i);
    default:
      Fail("is not of whole numbers");
  }
}

void LoadRows(const Part& part, size_t columns, size_t first, size_t count,
              std::vector<float>& to) {
  to.resize(count * columns);
  for (size_t i = 0; i < to.size(); ++i) {
    to[i] = part.Float(first * columns + i);
  }
}

void LoadTransposedRows(const Part& part, size_t rows, size_t columns,
                        size_t first, size_t count, std::vector<float>& to) {
  to.resize(count * columns);
  for (size_t c = 0; c < columns; ++c) {
    for (size_t r = 0; r < count; ++r) {
      to[r * columns + c] = part.Float(c * rows + first + r);
    }
  }
}

void LoadNibbles(const Part& part, size_t columns, size_t first, size_t count,
                 std::vector<uint8_t>& to) {
  to.resize(count * columns);
  for (size_t i = 0; i < to.size(); i += 2) {
    const uint8_t byte = part.Byte((first * columns + i) / 2);
    to[i] = byte & 15;
    to[i + 1] = byte >> 4;
  }
}

void LoadSignedCodes(const Part& part, size_t columns, int minimum,
                     size_t first, size_t count, std::vector<uint8_t>& to) {
  to.resize(count * columns);
  for (size_t i = 0; i < to.size(); ++i) {
    const auto value = static_cast<int8_t>(part.Byte(first * columns + i));
    to[i] = static_cast<uint8_t>(value - minimum);
  }
}

}  // namespace lutra::packer
