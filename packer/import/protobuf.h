#ifndef LUTRA_PACKER_IMPORT_PROTOBUF_H_
#define LUTRA_PACKER_IMPORT_PROTOBUF_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace lutra::packer {

// Reads fields of one protocol buffer message
// (https://protobuf.dev/programming-guides/encoding) without its schema and
// without copying: fields of bytes lie in what was given, a mapped file for
// instance.
class Protobuf {
 public:
  // `bytes` and `file` outlive the object. Throws Error if they are not a
  // message.
  Protobuf(std::string_view bytes, std::string_view file);

  // The last occurrence of the field, as the format wants it.
  uint64_t Integer(uint32_t field, uint64_t fallback) const;
  std::string_view Bytes(uint32_t field) const;  // empty if there is none
  float Float(uint32_t field, float fallback) const;
  bool Has(uint32_t field) const;
  // Every occurrence of a field of bytes, in order.
  void ForEach(uint32_t field,
               const std::function<void(std::string_view)>& use) const;
  // The elements of a repeated field of numbers, one by one or packed.
  std::vector<int64_t> Integers(uint32_t field) const;
  // The same as little-endian elements of `size` bytes each, 4 or 8.
  std::vector<std::byte> Fixed(uint32_t field, size_t size) const;

  std::string_view file() const { return file_; }

 private:
  struct Field {
    uint32_t number = 0;
    uint64_t integer = 0;
    std::string_view bytes;  // of fixed sizes, too
    bool is_bytes = false;
    bool is_fixed = false;
  };

  void Scan(const std::function<void(const Field&)>& use) const;
  uint64_t Varint(std::string_view& rest) const;
  [[noreturn]] void Fail() const;

  std::string_view bytes_;
  std::string_view file_;
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_PROTOBUF_H_
