#ifndef LUTRA_PACKER_IMPORT_NETWORK_CONSTANT_H_
#define LUTRA_PACKER_IMPORT_NETWORK_CONSTANT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "packer/import/network/view.h"

// Arrays that a graph brings along: weights and numbers of shapes.

namespace lutra::packer {

enum class ElementType {
  kFloat32,
  kFloat16,
  kBFloat16,
  kFloat64,
  kInt8,
  kUInt8,
  kInt16,
  kUInt16,
  kInt32,
  kUInt32,
  kInt64,
  kUInt64,
  kBool,
  // Packed from the low bits of a byte up, over the whole array.
  kInt4,
  kUInt4,
  kInt2,
  kUInt2,
};

std::string_view Name(ElementType type);
bool IsFloat(ElementType type);
size_t BitsOf(ElementType type);
// Bytes of `count` elements; the last byte may have room left.
size_t BytesOf(ElementType type, size_t count);
// Of whole numbers.
int64_t Lowest(ElementType type);
int64_t Highest(ElementType type);

// Elements in memory, which `owner` keeps.
struct Elements {
  ElementType type = ElementType::kFloat32;
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;

  static Elements Of(std::vector<int64_t> values);
  static Elements Of(std::vector<float> values);
  static Elements OfBytes(ElementType type, std::vector<std::byte> bytes);

  float Float(size_t i) const;
  // Of whole numbers.
  int64_t Integer(size_t i) const;
};

// Which scale and zero point belong to an element at
// (outer * size + at) * inner + within: with blocks of places along the axis
// that at [outer, at / block, within], else that of the place `at`.
struct Quantization {
  Elements scales;
  Elements zeros;    // no bytes: all zero points are 0
  size_t inner = 1;  // elements after the axis
  size_t size = 1;   // of the axis; 1: one scale for all
  size_t block = 0;  // 0: none

  size_t ScaleOf(size_t element) const;
};

// An array of numbers, seen through a view; if quantized, its numbers are
// (element - zero point) * scale, in float32.
struct Constant {
  std::string name;  // for messages and for the tensors made of it
  Elements elements;
  View view;
  std::shared_ptr<const Quantization> quantization;

  bool is_float() const {
    return quantization != nullptr || IsFloat(elements.type);
  }
  // By the place in memory.
  float Value(size_t place) const;
  size_t Count() const { return RowElements(view); }
  // All numbers in order. Throws Error with the bare cause if there are more
  // than a shape or a bias may have.
  std::vector<float> Floats() const;
  std::vector<int64_t> Integers() const;
};

// Elements in row-major order.
Constant MakeConstant(std::string name, Elements elements,
                      std::span<const int64_t> shape);

// One number, of no dimensions.
Constant ScalarConstant(float value);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_NETWORK_CONSTANT_H_
