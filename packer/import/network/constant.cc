#include "packer/import/network/constant.h"

#include <cstring>
#include <utility>

#include "kernels/base/half.h"
#include "lutra/runtime/error.h"

namespace lutra::packer {
namespace {

// Of vectors that are held in memory as a whole.
constexpr size_t kMostElements = size_t{1} << 24;

template <typename T>
T Load(std::span<const std::byte> bytes, size_t i) {
  T value;
  std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
  return value;
}

struct TypeRow {
  std::string_view name;
  size_t bits;
  bool is_float;
  bool is_signed;
};

const TypeRow& Row(ElementType type) {
  static constexpr TypeRow kRows[] = {
      {"float32", 32, true, true},  {"float16", 16, true, true},
      {"bfloat16", 16, true, true}, {"float64", 64, true, true},
      {"int8", 8, false, true},     {"uint8", 8, false, false},
      {"int16", 16, false, true},   {"uint16", 16, false, false},
      {"int32", 32, false, true},   {"uint32", 32, false, false},
      {"int64", 64, false, true},   {"uint64", 64, false, false},
      {"bool", 8, false, false},    {"int4", 4, false, true},
      {"uint4", 4, false, false},   {"int2", 2, false, true},
      {"uint2", 2, false, false},
  };
  return kRows[static_cast<size_t>(type)];
}

// Of a type of fewer than 8 bits.
int64_t PackedInteger(const Elements& elements, size_t i) {
  const TypeRow& row = Row(elements.type);
  const size_t bit = i * row.bits;
  const auto byte = static_cast<unsigned>(elements.bytes[bit / 8]);
  const auto value =
      static_cast<int64_t>(byte >> (bit % 8) & ((1u << row.bits) - 1));
  const int64_t range = int64_t{1} << row.bits;
  return row.is_signed && value >= range / 2 ? value - range : value;
}

template <typename T>
Elements OfVector(ElementType type, std::vector<T> values) {
  const auto owner = std::make_shared<const std::vector<T>>(std::move(values));
  return {type, std::as_bytes(std::span(*owner)), owner};
}

}  // namespace

std::string_view Name(ElementType type) { return Row(type).name; }
bool IsFloat(ElementType type) { return Row(type).is_float; }
size_t BitsOf(ElementType type) { return Row(type).bits; }

size_t BytesOf(ElementType type, size_t count) {
  const size_t bits = Row(type).bits;
  return bits >= 8 ? count * (bits / 8) : (count + 8 / bits - 1) / (8 / bits);
}

int64_t Lowest(ElementType type) {
  return Row(type).is_signed ? -(int64_t{1} << (Row(type).bits - 1)) : 0;
}

int64_t Highest(ElementType type) {
  const size_t bits = Row(type).bits - (Row(type).is_signed ? 1 : 0);
  return bits >= 63 ? INT64_MAX : (int64_t{1} << bits) - 1;
}

Elements Elements::Of(std::vector<int64_t> values) {
  return OfVector(ElementType::kInt64, std::move(values));
}
Elements Elements::Of(std::vector<float> values) {
  return OfVector(ElementType::kFloat32, std::move(values));
}
Elements Elements::OfBytes(ElementType type, std::vector<std::byte> bytes) {
  return OfVector(type, std::move(bytes));
}

float Elements::Float(size_t i) const {
  switch (type) {
    case ElementType::kFloat32:
      return Load<float>(bytes, i);
    case ElementType::kFloat16:
      return FloatFromFloat16(Load<uint16_t>(bytes, i));
    case ElementType::kBFloat16:
      return FloatFromBFloat16(Load<uint16_t>(bytes, i));
    case ElementType::kFloat64:
      return static_cast<float>(Load<double>(bytes, i));
    default:
      return static_cast<float>(Integer(i));
  }
}

int64_t Elements::Integer(size_t i) const {
  switch (type) {
    case ElementType::kInt8:
      return Load<int8_t>(bytes, i);
    case ElementType::kUInt8:
    case ElementType::kBool:
      return Load<uint8_t>(bytes, i);
    case ElementType::kInt16:
      return Load<int16_t>(bytes, i);
    case ElementType::kUInt16:
      return Load<uint16_t>(bytes, i);
    case ElementType::kInt32:
      return Load<int32_t>(bytes, i);
    case ElementType::kUInt32:
      return Load<uint32_t>(bytes, i);
    case ElementType::kInt64:
    case ElementType::kUInt64:
      return Load<int64_t>(bytes, i);
    default:
      return PackedInteger(*this, i);
  }
}

size_t Quantization::ScaleOf(size_t element) const {
  const size_t at = element / inner % size;
  if (block == 0) return at;
  const size_t blocks = (size + block - 1) / block;
  return (element / (inner * size) * blocks + at / block) * inner +
         element % inner;
}

float Constant::Value(size_t place) const {
  if (quantization == nullptr) return elements.Float(place);
  const size_t scale = quantization->ScaleOf(place);
  const int64_t zero = quantization->zeros.bytes.empty()
                           ? 0
                           : quantization->zeros.Integer(scale);
  return static_cast<float>(elements.Integer(place) - zero) *
         quantization->scales.Float(scale);
}

namespace {

std::vector<uint32_t> AllPlaces(const Constant& constant) {
  std::vector<Axis> axes;
  for (const auto& dim : constant.view.dims) {
    axes.insert(axes.end(), dim.begin(), dim.end());
  }
  return Places(axes, constant.view.offset, kMostElements);
}

}  // namespace

std::vector<float> Constant::Floats() const {
  std::vector<float> values;
  for (const uint32_t place : AllPlaces(*this)) values.push_back(Value(place));
  return values;
}

std::vector<int64_t> Constant::Integers() const {
  if (is_float()) throw Error("'" + name + "' is not of whole numbers");
  std::vector<int64_t> values;
  for (const uint32_t place : AllPlaces(*this)) {
    values.push_back(elements.Integer(place));
  }
  return values;
}

Constant MakeConstant(std::string name, Elements elements,
                      std::span<const int64_t> shape) {
  return {std::move(name), std::move(elements), NaturalView(shape), nullptr};
}

Constant ScalarConstant(float value) {
  return MakeConstant("", Elements::Of(std::vector<float>{value}), {});
}

}  // namespace lutra::packer
