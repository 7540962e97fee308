#ifndef LUTRA_TESTS_PACKER_TORCH_WRITER_H_
#define LUTRA_TESTS_PACKER_TORCH_WRITER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

// Files of torch.save, piece by piece, so that each can be wrong.

namespace lutra::torch_save {

template <typename T>
std::string Raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

using Entries = std::vector<std::pair<std::string, std::string>>;

// An archive without compression.
inline std::string Zip(const Entries& entries, uint16_t method = 0) {
  std::string bytes;
  std::string directory;
  for (const auto& [name, data] : entries) {
    const std::string common =
        Raw<uint16_t>(0) + Raw(method) + Raw<uint32_t>(0) + Raw<uint32_t>(0) +
        Raw(static_cast<uint32_t>(data.size())) +
        Raw(static_cast<uint32_t>(data.size())) +
        Raw(static_cast<uint16_t>(name.size())) + Raw<uint16_t>(0);
    directory += std::string("PK\1\2") + Raw<uint16_t>(20) + Raw<uint16_t>(20) +
                 common + Raw<uint16_t>(0) + std::string(8, '\0') +
                 Raw(static_cast<uint32_t>(bytes.size())) + name;
    bytes += std::string("PK\3\4") + Raw<uint16_t>(20) + common + name + data;
  }
  const auto at = static_cast<uint32_t>(bytes.size());
  const auto count = static_cast<uint16_t>(entries.size());
  return bytes + directory + "PK\5\6" + std::string(4, '\0') + Raw(count) +
         Raw(count) + Raw(static_cast<uint32_t>(directory.size())) + Raw(at) +
         Raw<uint16_t>(0);
}

inline std::string Text(const std::string& text) {
  return "X" + Raw(static_cast<uint32_t>(text.size())) + text;
}
inline std::string Global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}

// The call that makes a tensor of rows * columns floats out of storage "0".
inline std::string Tensor(int rows, int columns, int stride, int offset = 0,
                          const std::string& type = "FloatStorage") {
  const auto number = [](int value) { return "J" + Raw<int32_t>(value); };
  return Global("torch._utils", "_rebuild_tensor_v2") + "((" + Text("storage") +
         Global("torch", type) + Text("0") + Text("cpu") + number(8) + "tQ" +
         number(offset) + "(" + number(rows) + number(columns) + "t(" +
         number(stride) + number(1) + "t\x89}tR";
}

inline std::string PickleOf(const std::string& members) {
  return "\x80\x02}(" + members + "u.";
}

}  // namespace lutra::torch_save

#endif  // LUTRA_TESTS_PACKER_TORCH_WRITER_H_
