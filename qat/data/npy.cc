#include "lutra/qat/npy.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <system_error>

#include "kernels/base/checked_math.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/output_file.h"
#include "runtime/base/mapped_file.h"

namespace lutra::qat {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kAlignment = 64;  // of the data, by convention
constexpr size_t kMaxRank = 32;    // NumPy's own limit
// NumPy itself refuses longer ones as unsafe.
constexpr size_t kMaxHeader = 10000;

struct NpyTypeName {
  NpyType type;
  std::string_view descr;
  std::string_view name;
  size_t bytes;
};
constexpr std::array<NpyTypeName, 5> kTypes = {{
    {NpyType::kFloat32, "<f4", "float32", 4},
    {NpyType::kInt32, "<i4", "int32", 4},
    {NpyType::kInt64, "<i8", "int64", 8},
    {NpyType::kInt8, "|i1", "int8", 1},
    {NpyType::kUInt8, "|u1", "uint8", 1},
}};

const NpyTypeName& Find(NpyType type) {
  return *std::find_if(kTypes.begin(), kTypes.end(),
                       [type](const NpyTypeName& t) { return t.type == type; });
}

struct Header {
  std::string descr;
  bool fortran_order = false;
  std::vector<size_t> shape;
};

// Reads the header, a Python dictionary of three entries such as
// {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : rest_(text) {}

  // nullopt if it is anything else.
  std::optional<Header> Parse() {
    Header header;
    unsigned seen = 0;
    if (!Take("{")) return std::nullopt;
    while (!Take("}")) {
      const std::optional<std::string> key = String();
      if (!key.has_value() || !Take(":")) return std::nullopt;
      unsigned entry = 0;
      if (*key == "descr") {
        entry = 1;
        const std::optional<std::string> descr = String();
        if (!descr.has_value()) return std::nullopt;
        header.descr = *descr;
      } else if (*key == "fortran_order") {
        entry = 2;
        header.fortran_order = Take("True");
        if (!header.fortran_order && !Take("False")) return std::nullopt;
      } else if (*key == "shape") {
        entry = 4;
        if (!Shape(header.shape)) return std::nullopt;
      }
      if (entry == 0 || (seen & entry) != 0) return std::nullopt;
      seen |= entry;
      if (!Take(",") && !Peek("}")) return std::nullopt;
    }
    SkipSpace();
    if (!rest_.empty() || seen != 7) return std::nullopt;
    return header;
  }

 private:
  void SkipSpace() {
    const size_t start = rest_.find_first_not_of(" \t\r\n");
    rest_.remove_prefix(start == std::string_view::npos ? rest_.size() : start);
  }

  bool Peek(std::string_view token) {
    SkipSpace();
    return rest_.substr(0, token.size()) == token;
  }

  bool Take(std::string_view token) {
    if (!Peek(token)) return false;
    rest_.remove_prefix(token.size());
    return true;
  }

  std::optional<std::string> String() {
    SkipSpace();
    if (rest_.empty() || (rest_[0] != '\'' && rest_[0] != '"')) {
      return std::nullopt;
    }
    const size_t end = rest_.find(rest_[0], 1);
    if (end == std::string_view::npos) return std::nullopt;
    std::string text(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return text;
  }

  bool Shape(std::vector<size_t>& shape) {
    if (!Take("(")) return false;
    while (!Take(")")) {
      size_t size = 0;
      SkipSpace();
      const char* end = rest_.data() + rest_.size();
      const auto [stop, error] = std::from_chars(rest_.data(), end, size);
      if (error != std::errc() || shape.size() == kMaxRank) return false;
      rest_.remove_prefix(static_cast<size_t>(stop - rest_.data()));
      shape.push_back(size);
      if (!Take(",") && !Peek(")")) return false;
    }
    return true;
  }

  std::string_view rest_;
};

size_t LittleEndian(std::string_view bytes) {
  size_t value = 0;
  for (size_t i = bytes.size(); i > 0; --i) {
    value = value << 8 | static_cast<unsigned char>(bytes[i - 1]);
  }
  return value;
}

}  // namespace

size_t ByteSize(NpyType type) { return Find(type).bytes; }

std::string_view Name(NpyType type) { return Find(type).name; }

NpyArray ReadNpy(const std::filesystem::path& path) {
  const std::string file = path.string();
  const MappedFile mapping(path);
  std::string_view rest = mapping.text();
  if (rest.substr(0, kMagic.size()) != kMagic) {
    throw Error::InFile(file, "is not a .npy file (wrong magic)");
  }
  rest.remove_prefix(kMagic.size());
  if (rest.size() < 2 || (rest[0] != 1 && rest[0] != 2) || rest[1] != 0) {
    throw Error::InFile(file, "is not of .npy version 1.0 or 2.0");
  }
  const size_t length_bytes = rest[0] == 1 ? 2 : 4;
  rest.remove_prefix(2);
  if (rest.size() < length_bytes) throw Error::InFile(file, "is truncated");
  const size_t length = LittleEndian(rest.substr(0, length_bytes));
  rest.remove_prefix(length_bytes);
  if (length > kMaxHeader) {
    throw Error::InFile(
        file, "the header is too long (" + std::to_string(length) + " bytes)");
  }
  if (rest.size() < length) throw Error::InFile(file, "is truncated");

  const auto header = HeaderParser(rest.substr(0, length)).Parse();
  if (!header.has_value()) throw Error::InFile(file, "the header is damaged");
  rest.remove_prefix(length);
  const auto type = std::find_if(
      kTypes.begin(), kTypes.end(),
      [&](const NpyTypeName& t) { return t.descr == header->descr; });
  if (type == kTypes.end()) {
    throw Error::InFile(file, "the type '" + header->descr +
                                  "' is not supported (float32, int32, int64, "
                                  "int8 and uint8 are, little-endian)");
  }
  if (header->fortran_order) {
    throw Error::InFile(file, "is in Fortran order; save it in C order");
  }
  std::optional<size_t> bytes = type->bytes;
  for (const size_t size : header->shape) {
    if (bytes.has_value()) bytes = CheckedMultiply(*bytes, size);
  }
  if (!bytes.has_value()) throw Error::InFile(file, "the shape overflows");
  if (*bytes != rest.size()) {
    throw Error::InFile(file, "holds " + std::to_string(rest.size()) +
                                  " bytes of data, but its shape needs " +
                                  std::to_string(*bytes));
  }
  NpyArray array;
  array.type = type->type;
  array.shape = header->shape;
  const std::span<const std::byte> data = mapping.bytes().last(*bytes);
  array.data.assign(data.begin(), data.end());
  return array;
}

void WriteNpy(const std::filesystem::path& path, Span<const size_t> shape,
              Span<const float> data) {
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (";
  for (const size_t size : shape) header += std::to_string(size) + ", ";
  header += "), }";
  const size_t preamble = kMagic.size() + 4;
  const size_t unpadded = preamble + header.size() + 1;
  header.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  header += '\n';

  std::string start(kMagic);
  start += '\x01';
  start += '\0';
  start += static_cast<char>(header.size() & 0xFF);
  start += static_cast<char>(header.size() >> 8);
  start += header;
  OutputFile file(path);
  file.Append(start);
  file.WriteAt(start.size(),
               std::as_bytes(std::span(data.data(), data.size())));
  file.Commit();
}

}  // namespace lutra::qat
