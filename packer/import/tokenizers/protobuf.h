#ifndef LUTRA_PACKER_IMPORT_TOKENIZERS_PROTOBUF_H_
#define LUTRA_PACKER_IMPORT_TOKENIZERS_PROTOBUF_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace lutra::packer {

// Reads fields of one protocol buffer message
// (https://protobuf.dev/programming-guides/encoding) without its schema.
class Protobuf {
 public:
  // `bytes` and `file` outlive the object. Throws Error if they are not a
  // message.
  Protobuf(std::string_view bytes, std::string_view file);

  // The last occurrence of the field, as the format wants it.
  uint64_t Integer(uint32_t field, uint64_t fallback) const;
  std::string_view Bytes(uint32_t field) const;  // empty if there is none
  // Every occurrence of a field of bytes, in order.
  void ForEach(uint32_t field,
               const std::function<void(std::string_view)>& use) const;

 private:
  struct Field {
    uint32_t number = 0;
    uint64_t integer = 0;
    std::string_view bytes;
    bool is_bytes = false;
  };

  void Scan(const std::function<void(const Field&)>& use) const;
  [[noreturn]] void Fail() const;

  std::string_view bytes_;
  std::string_view file_;
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_TOKENIZERS_PROTOBUF_H_
