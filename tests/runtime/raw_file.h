#ifndef LUTRA_TESTS_RUNTIME_RAW_FILE_H_
#define LUTRA_TESTS_RUNTIME_RAW_FILE_H_

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>

// Safetensors files byte by byte, to make good files bad.

namespace lutra {

inline std::string ReadBytes(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

inline void WriteBytes(const std::filesystem::path& path,
                       std::string_view bytes) {
  std::ofstream stream(path, std::ios::binary);
  stream.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

inline std::string LengthPrefix(uint64_t length) {
  std::string prefix(sizeof(length), '\0');
  std::memcpy(prefix.data(), &length, sizeof(length));
  return prefix;
}

// A file taken apart; Bytes() puts it together with the right length.
struct RawFile {
  std::string header;
  std::string data;

  static RawFile Parse(const std::string& bytes) {
    uint64_t prefix = 0;
    std::memcpy(&prefix, bytes.data(), sizeof(prefix));
    const auto length = static_cast<size_t>(prefix);
    return {bytes.substr(sizeof(prefix), length),
            bytes.substr(sizeof(prefix) + length)};
  }

  std::string Bytes() const {
    return LengthPrefix(header.size()) + header + data;
  }

  // Replaces the only occurrence of `from`, which must be there: a damage that
  // damages nothing would test nothing.
  RawFile& Replace(std::string_view from, std::string_view to) {
    const size_t at = header.find(from);
    if (at == std::string::npos ||
        header.find(from, at + 1) != std::string::npos) {
      throw std::logic_error("not exactly once in the header: " +
                             std::string(from));
    }
    header.replace(at, from.size(), to);
    return *this;
  }
};

}  // namespace lutra

#endif  // LUTRA_TESTS_RUNTIME_RAW_FILE_H_
