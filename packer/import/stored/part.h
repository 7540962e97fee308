#ifndef LUTRA_PACKER_IMPORT_STORED_PART_H_
#define LUTRA_PACKER_IMPORT_STORED_PART_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string>
#include <vector>

#include "packer/import/raw_tensors.h"

namespace lutra::packer {

// A tensor that is a part of a quantized weight: its elements one by one,
// wherever they lie, whatever their alignment.
class Part {
 public:
  Part() = default;
  // Throws Error if the tensor has another type than these.
  Part(RawTensor tensor, std::initializer_list<DType> types);

  bool present() const { return tensor_.owner != nullptr; }
  const RawTensor& tensor() const { return tensor_; }
  DType dtype() const { return tensor_.view.dtype; }
  size_t size() const { return size_; }
  const std::vector<int64_t>& shape() const { return tensor_.view.shape; }
  // Dimension `i`, 1 where there are fewer.
  size_t Dim(size_t i) const;

  // Throws Error naming the tensor.
  [[noreturn]] void Fail(const std::string& cause) const;
  // Fails unless the elements are [rows, columns], in one or two dimensions if
  // one of them is 1.
  void CheckMatrix(size_t rows, size_t columns) const;

  // A floating-point or whole number as float32.
  float Float(size_t i) const;
  int64_t Integer(size_t i) const;
  // Of 32-bit words.
  uint32_t Word(size_t i) const {
    uint32_t word;
    std::memcpy(&word, data_ + i * sizeof(word), sizeof(word));
    return word;
  }
  // Of bytes.
  uint8_t Byte(size_t i) const { return static_cast<uint8_t>(data_[i]); }

 private:
  RawTensor tensor_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// Types of scales and zero points.
inline constexpr std::initializer_list<DType> kFloatTypes = {
    DType::kFloat32, DType::kFloat16, DType::kBFloat16};
inline constexpr std::initializer_list<DType> kWordTypes = {DType::kInt32,
                                                            DType::kUInt32};
inline constexpr std::initializer_list<DType> kByteTypes = {DType::kInt8,
                                                            DType::kUInt8};

// The field of `bits` bits that begins at bit `at` of a stream of 32-bit words,
// least significant first; word(i) is the i-th.
template <typename Word>
inline uint8_t Field(size_t at, size_t bits, const Word& word) {
  const size_t index = at / 32;
  const size_t shift = at % 32;
  uint32_t value = word(index) >> shift;
  if (shift + bits > 32) value |= word(index + 1) << (32 - shift);
  return static_cast<uint8_t>(value & ((1u << bits) - 1));
}

// Rows [first, first + count) of a matrix [rows, columns] of numbers, and those
// of the transpose of a matrix [columns, rows].
void LoadRows(const Part& part, size_t columns, size_t first, size_t count,
              std::vector<float>& to);
void LoadTransposedRows(const Part& part, size_t rows, size_t columns,
                        size_t first, size_t count, std::vector<float>& to);

// Rows of two 4-bit codes per byte, the even column in the low nibble.
void LoadNibbles(const Part& part, size_t columns, size_t first, size_t count,
                 std::vector<uint8_t>& to);
// Rows of int8 values, as codes from the smallest value on.
void LoadSignedCodes(const Part& part, size_t columns, int minimum,
                     size_t first, size_t count, std::vector<uint8_t>& to);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_STORED_PART_H_
