#ifndef LUTRA_PACKER_IMPORT_GGUF_GGUF_FILE_H_
#define LUTRA_PACKER_IMPORT_GGUF_GGUF_FILE_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/mapped_file.h"

// The container of ggml (github.com/ggml-org/ggml, docs/gguf.md), versions 2
// and 3, little endian. Files are hostile until checked: every count, length,
// offset and product is compared with what the file has before it is used, and
// nothing is allocated by a number that the file's size does not vouch for.

namespace lutra::packer {

enum class GgufType : uint32_t {
  kUInt8 = 0,
  kInt8 = 1,
  kUInt16 = 2,
  kInt16 = 3,
  kUInt32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUInt64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

// A value of the metadata, in the file's bytes.
struct GgufValue {
  GgufType type = GgufType::kUInt8;  // of elements, of an array
  bool is_array = false;
  size_t count = 1;                     // of an array
  std::span<const std::byte> bytes;     // of numbers
  std::vector<std::string_view> texts;  // of strings
};

struct GgufTensor {
  std::string name;
  uint32_t type = 0;            // ggml's number
  std::vector<uint64_t> shape;  // outermost first: [rows, columns]
  // From where it begins to where the next one does, or the file ends.
  std::span<const std::byte> room;

  uint64_t columns() const { return shape.empty() ? 1 : shape.back(); }
  // Of all dimensions but the last.
  uint64_t rows() const;
};

class GgufFile {
 public:
  // Throws Error.
  explicit GgufFile(const std::filesystem::path& path);

  const std::string& path() const { return path_; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  const std::map<std::string, GgufValue, std::less<>>& values() const {
    return values_;
  }
  // nullptr if there is none.
  const GgufValue* Find(std::string_view key) const;

  // Scalars; throw Error if the value is of another kind or out of range.
  std::optional<int64_t> Integer(std::string_view key) const;
  std::optional<double> Number(std::string_view key) const;
  std::optional<bool> Bool(std::string_view key) const;
  std::optional<std::string> Text(std::string_view key) const;
  // Arrays; empty if absent.
  std::vector<std::string_view> Texts(std::string_view key) const;
  std::vector<double> Numbers(std::string_view key) const;

  [[noreturn]] void Fail(std::string_view key, const std::string& cause) const;

 private:
  std::string path_;
  MappedFile mapped_;
  std::map<std::string, GgufValue, std::less<>> values_;
  std::vector<GgufTensor> tensors_;
};

// The files of a model: one, or all parts (NAME-00001-of-00003.gguf) if it is
// the name of one of them. Throws Error if a part is missing or belongs to
// another model.
std::vector<std::shared_ptr<const GgufFile>> OpenGguf(
    const std::filesystem::path& path);

// Whether a file begins as one.
bool IsGguf(const std::filesystem::path& path);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_GGUF_GGUF_FILE_H_
