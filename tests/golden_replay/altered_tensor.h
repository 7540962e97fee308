#ifndef LUTRA_TESTS_GOLDEN_REPLAY_ALTERED_TENSOR_H_
#define LUTRA_TESTS_GOLDEN_REPLAY_ALTERED_TENSOR_H_

#include <cstring>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <stdexcept>
#include <string>

#include "tests/runtime/raw_file.h"

namespace lutra::golden {

// Lets `alter` change the bytes of the first tensor of a file whose name ends
// in `suffix`, which must be there.
inline void AlterBytes(const std::filesystem::path& path,
                       const std::string& suffix,
                       const std::function<void(std::span<char>)>& alter) {
  RawFile file = RawFile::Parse(ReadBytes(path));
  const auto header = nlohmann::json::parse(file.header);
  for (const auto& [name, tensor] : header.items()) {
    if (!name.ends_with(suffix)) continue;
    const size_t begin = tensor.at("data_offsets").at(0);
    const size_t end = tensor.at("data_offsets").at(1);
    alter(std::span(file.data).subspan(begin, end - begin));
    WriteBytes(path, file.Bytes());
    return;
  }
  throw std::logic_error("no tensor " + suffix + " in " + path.string());
}

// The same for one element.
template <typename T>
void AlterElement(const std::filesystem::path& path, const std::string& suffix,
                  size_t index, const std::function<T(T)>& alter) {
  AlterBytes(path, suffix, [&](std::span<char> bytes) {
    T value;
    const auto at = bytes.subspan(index * sizeof(T), sizeof(T));
    std::memcpy(&value, at.data(), sizeof(T));
    value = alter(value);
    std::memcpy(at.data(), &value, sizeof(T));
  });
}

}  // namespace lutra::golden

#endif  // LUTRA_TESTS_GOLDEN_REPLAY_ALTERED_TENSOR_H_
