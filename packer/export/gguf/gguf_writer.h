#ifndef LUTRA_PACKER_EXPORT_GGUF_GGUF_WRITER_H_
#define LUTRA_PACKER_EXPORT_GGUF_GGUF_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/runtime/output_file.h"

namespace lutra::packer {

// Writes GGUF files, version 3: first values and tensors are described, then
// Begin writes that, then bytes of tensors come in any order.
class GgufWriter {
 public:
  // Throws Error where the file cannot be made.
  explicit GgufWriter(const std::filesystem::path& path) : file_(path) {}

  void Text(std::string_view key, std::string_view value);
  void Integer(std::string_view key, uint32_t value);
  void Number(std::string_view key, float value);
  void Bool(std::string_view key, bool value);
  void Bools(std::string_view key, std::span<const bool> values);
  void Texts(std::string_view key, std::span<const std::string> values);
  void Integers(std::string_view key, std::span<const int32_t> values);
  void Numbers(std::string_view key, std::span<const float> values);

  // A tensor of ggml's type of that number, with its shape outermost first.
  void Tensor(std::string_view name, uint32_t type,
              std::span<const uint64_t> shape, uint64_t bytes);

  // Writes the head and makes the file as long as it will be, so that what the
  // head says can be read from temporary().
  void Begin();
  void WritePart(size_t tensor, uint64_t offset,
                 std::span<const std::byte> bytes);
  const std::string& temporary() const { return file_.temporary(); }
  void Commit() { file_.Commit(); }

 private:
  void Key(std::string_view key, uint32_t type);
  void List(std::string_view key, uint32_t type, size_t count);

  OutputFile file_;
  std::string values_;
  std::string tensors_;
  uint64_t value_count_ = 0;
  std::vector<uint64_t> offsets_;  // of tensors, from the start of the data
  uint64_t data_bytes_ = 0;
  uint64_t data_begin_ = 0;
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_EXPORT_GGUF_GGUF_WRITER_H_
