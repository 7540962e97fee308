#ifndef LUTRA_RUNTIME_IO_FILE_BYTES_H_
#define LUTRA_RUNTIME_IO_FILE_BYTES_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>

#include "lutra/kernels/span.h"
#include "lutra/runtime/load_options.h"
#include "runtime/base/aligned_memory.h"
#include "runtime/base/mapped_file.h"

namespace lutra {

// The bytes of a container, wherever they lie: at a multiple of 64 bytes.
// Throws Error; `name` is for its message.
class FileBytes {
 public:
  FileBytes(const std::filesystem::path& path, Storage storage);
  // `size` bytes of an open file. The descriptor stays the caller's.
  FileBytes(int descriptor, uint64_t offset, uint64_t size,
            std::string_view name, Storage storage);
  // Borrowed bytes, which outlive this where they are used in place.
  FileBytes(Span<const std::byte> bytes, std::string_view name,
            Storage storage);

  Span<const std::byte> bytes() const { return bytes_; }

 private:
  void Read(int descriptor, uint64_t offset, uint64_t size,
            std::string_view name, Storage storage);
  // Memory for `size` bytes.
  std::byte* Allocate(size_t size, Storage storage);

  std::unique_ptr<const MappedFile> mapping_;
  AlignedMemory memory_;
  Span<const std::byte> bytes_;  // in either, or the caller's
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_IO_FILE_BYTES_H_
