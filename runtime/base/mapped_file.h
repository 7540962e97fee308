#ifndef LUTRA_RUNTIME_BASE_MAPPED_FILE_H_
#define LUTRA_RUNTIME_BASE_MAPPED_FILE_H_

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

namespace lutra {

// A file mapped for reading, unmapped when destroyed. If another process
// shortens the file meanwhile, reading past its new end is fatal, as with every
// mapping: replace model files by renaming.
class MappedFile {
 public:
  // Throws Error.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }
  // The same bytes.
  std::string_view text() const {
    return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
  }

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_BASE_MAPPED_FILE_H_
