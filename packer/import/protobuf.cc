#include "packer/import/protobuf.h"

#include <cstring>

#include "lutra/runtime/error.h"

namespace lutra::packer {
namespace {

constexpr uint64_t kVarint = 0;
constexpr uint64_t kFixed64 = 1;
constexpr uint64_t kLengthDelimited = 2;
constexpr uint64_t kFixed32 = 5;
constexpr uint64_t kLargestNumber = (1u << 29) - 1;

}  // namespace

Protobuf::Protobuf(std::string_view bytes, std::string_view file)
    : bytes_(bytes), file_(file) {
  Scan([](const Field&) {});
}

void Protobuf::Fail() const {
  throw Error::InFile(file_, "is not a protocol buffer of the expected form");
}

uint64_t Protobuf::Varint(std::string_view& rest) const {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (rest.empty()) Fail();
    const auto byte = static_cast<uint8_t>(rest.front());
    rest.remove_prefix(1);
    value |= uint64_t{byte & 0x7Fu} << shift;
    if ((byte & 0x80u) == 0) return value;
  }
  Fail();
}

void Protobuf::Scan(const std::function<void(const Field&)>& use) const {
  std::string_view rest = bytes_;
  const auto take = [&](uint64_t count) {
    if (count > rest.size()) Fail();
    const std::string_view bytes = rest.substr(0, count);
    rest.remove_prefix(count);
    return bytes;
  };
  while (!rest.empty()) {
    const uint64_t tag = Varint(rest);
    if (tag >> 3 == 0 || tag >> 3 > kLargestNumber) Fail();
    Field field;
    field.number = static_cast<uint32_t>(tag >> 3);
    switch (tag & 7) {
      case kVarint:
        field.integer = Varint(rest);
        break;
      case kFixed64:
        field.bytes = take(8);
        field.is_fixed = true;
        break;
      case kLengthDelimited:
        field.bytes = take(Varint(rest));
        field.is_bytes = true;
        break;
      case kFixed32:
        field.bytes = take(4);
        field.is_fixed = true;
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

float Protobuf::Float(uint32_t field, float fallback) const {
  float value = fallback;
  Scan([&](const Field& f) {
    if (f.number != field || !f.is_fixed || f.bytes.size() != sizeof(value)) {
      return;
    }
    std::memcpy(&value, f.bytes.data(), sizeof(value));
  });
  return value;
}

bool Protobuf::Has(uint32_t field) const {
  bool found = false;
  Scan([&](const Field& f) { found = found || f.number == field; });
  return found;
}

void Protobuf::ForEach(uint32_t field,
                       const std::function<void(std::string_view)>& use) const {
  Scan([&](const Field& f) {
    if (f.number == field && f.is_bytes) use(f.bytes);
  });
}

std::vector<int64_t> Protobuf::Integers(uint32_t field) const {
  std::vector<int64_t> values;
  Scan([&](const Field& f) {
    if (f.number != field || f.is_fixed) return;
    if (!f.is_bytes) {
      values.push_back(static_cast<int64_t>(f.integer));
      return;
    }
    for (std::string_view rest = f.bytes; !rest.empty();) {
      values.push_back(static_cast<int64_t>(Varint(rest)));
    }
  });
  return values;
}

std::vector<std::byte> Protobuf::Fixed(uint32_t field, size_t size) const {
  std::vector<std::byte> values;
  Scan([&](const Field& f) {
    if (f.number != field) return;
    const bool fits = f.is_fixed ? f.bytes.size() == size
                                 : f.is_bytes && f.bytes.size() % size == 0;
    if (!fits) Fail();
    const auto* data = reinterpret_cast<const std::byte*>(f.bytes.data());
    values.insert(values.end(), data, data + f.bytes.size());
  });
  return values;
}

}  // namespace lutra::packer
