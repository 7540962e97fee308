#ifndef LUTRA_RUNTIME_BASE_REGULAR_FILE_H_
#define LUTRA_RUNTIME_BASE_REGULAR_FILE_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

#include "runtime/base/file_descriptor.h"

// Files that have a size and bytes at offsets. All functions throw Error;
// `name` is for its message.

namespace lutra {

FileDescriptor OpenForReading(const std::filesystem::path& path);

// Refuses folders, pipes and devices.
uint64_t RegularFileSize(int descriptor, std::string_view name);

// Fills `bytes` from `offset` on, whatever the descriptor's own position. A
// file that ends before is an error.
void ReadAt(int descriptor, uint64_t offset, std::span<std::byte> bytes,
            std::string_view name);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_BASE_REGULAR_FILE_H_
