#ifndef LUTRA_RUNTIME_BASE_MAPPED_FILE_H_
#define LUTRA_RUNTIME_BASE_MAPPED_FILE_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

namespace lutra {

// A file, or a part of one, mapped for reading, unmapped when destroyed. If
// another process shortens the file meanwhile, reading past its new end is
// fatal, as with every mapping: replace model files by renaming.
class MappedFile {
 public:
  // Throws Error.
  explicit MappedFile(const std::filesystem::path& path);
  // `size` bytes of an open regular file, which has them, from `offset` on. The
  // descriptor is not kept. `name` is for messages.
  MappedFile(int descriptor, uint64_t offset, size_t size,
             std::string_view name);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }
  // The same bytes.
  std::string_view text() const {
    return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
  }

 private:
  void Map(int descriptor, uint64_t offset, size_t size, std::string_view name);

  std::span<const std::byte> pages_;
  std::span<const std::byte> bytes_;  // in the pages
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_BASE_MAPPED_FILE_H_
