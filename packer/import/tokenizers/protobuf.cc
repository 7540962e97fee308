#include "packer/import/tokenizers/protobuf.h"

#include "lutra/runtime/error.h"

namespace lutra::packer {
namespace {

constexpr uint64_t kVarint = 0;
constexpr uint64_t kFixed64 = 1;
constexpr uint64_t kLengthDelimited = 2;
constexpr uint64_t kFixed32 = 5;

}  // namespace

Protobuf::Protobuf(std::string_view bytes, std::string_view file)
    : bytes_(bytes), file_(file) {
  Scan([](const Field&) {});
}

void Protobuf::Fail() const {
  throw Error::InFile(file_, "is not a protocol buffer of the expected form");
}

void Protobuf::Scan(const std::function<void(const Field&)>& use) const {
  std::string_view rest = bytes_;
  const auto varint = [&] {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (rest.empty()) Fail();
      const auto byte = static_cast<uint8_t>(rest.front());
      rest.remove_prefix(1);
      value |= uint64_t{byte & 0x7Fu} << shift;
      if ((byte & 0x80u) == 0) return value;
    }
    Fail();
  };
  const auto take = [&](uint64_t count) {
    if (count > rest.size()) Fail();
    const std::string_view bytes = rest.substr(0, count);
    rest.remove_prefix(count);
    return bytes;
  };
  while (!rest.empty()) {
    const uint64_t tag = varint();
    Field field;
    field.number = static_cast<uint32_t>(tag >> 3);
    switch (tag & 7) {
      case kVarint:
        field.integer = varint();
        break;
      case kFixed64:
        take(8);
        break;
      case kLengthDelimited:
        field.bytes = take(varint());
        field.is_bytes = true;
        break;
      case kFixed32:
        take(4);
        break;
      default:
        Fail();
    }
    use(field);
  }
}

uint64_t Protobuf::Integer(uint32_t field, uint64_t fallback) const {
  uint64_t value = fallback;
  Scan([&](const Field& f) {
    if (f.number == field && !f.is_bytes) value = f.integer;
  });
  return value;
}

std::string_view Protobuf::Bytes(uint32_t field) const {
  std::string_view value;
  ForEach(field, [&](std::string_view bytes) { value = bytes; });
  return value;
}

void Protobuf::ForEach(uint32_t field,
                       const std::function<void(std::string_view)>& use) const {
  Scan([&](const Field& f) {
    if (f.number == field && f.is_bytes) use(f.bytes);
  });
}

}  // namespace lutra::packer
