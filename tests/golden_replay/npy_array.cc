#include "tests/golden_replay/npy_array.h"

#include <cstring>
#include <sstream>
#include <string>

#include "lutra/runtime/error.h"
#include "runtime/base/mapped_file.h"

namespace lutra::golden {
namespace {

template <typename T>
void Append(std::span<const std::byte> bytes, std::vector<double>& values) {
  for (size_t i = 0; i < bytes.size() / sizeof(T); ++i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    values.push_back(static_cast<double>(value));
  }
}

}  // namespace

NpyArray ReadNpyArray(const std::filesystem::path& path) {
  const MappedFile file(path);
  const std::string_view text = file.text();
  const auto fail = [&](const char* cause) {
    throw Error::InFile(path.string(), cause);
  };
  // Version 1: the magic number, two bytes of version, two of the length.
  constexpr size_t kFixed = 10;
  if (text.size() < kFixed || text.substr(1, 5) != "NUMPY" || text[6] != 1) {
    fail("is no .npy file of version 1");
  }
  const size_t length = static_cast<uint8_t>(text[8]) +
                        (size_t{static_cast<uint8_t>(text[9])} << 8);
  if (length > text.size() - kFixed) fail("ends in its header");
  const std::string header(text.substr(kFixed, length));
  if (header.find("'fortran_order': False") == std::string::npos) {
    fail("is not in C order");
  }
  const size_t open = header.find('(');
  const size_t close = header.find(')');
  if (open == std::string::npos || close == std::string::npos) {
    fail("has no shape");
  }
  NpyArray array;
  std::istringstream sizes(header.substr(open + 1, close - open - 1));
  for (std::string size; std::getline(sizes, size, ',');) {
    if (size.find_first_not_of(' ') == std::string::npos) continue;
    array.shape.push_back(std::stoul(size));
  }
  const auto bytes = file.bytes().subspan(kFixed + length);
  if (header.find("'<f4'") != std::string::npos) {
    Append<float>(bytes, array.values);
  } else if (header.find("'<i8'") != std::string::npos) {
    Append<int64_t>(bytes, array.values);
  } else if (header.find("'<i4'") != std::string::npos) {
    Append<int32_t>(bytes, array.values);
  } else if (header.find("'|i1'") != std::string::npos) {
    Append<int8_t>(bytes, array.values);
  } else if (header.find("'|u1'") != std::string::npos) {
    Append<uint8_t>(bytes, array.values);
  } else {
    fail("has numbers of another type");
  }
  size_t count = 1;
  for (const size_t size : array.shape) count *= size;
  if (count != array.values.size()) fail("has another size than its shape");
  return array;
}

}  // namespace lutra::golden
