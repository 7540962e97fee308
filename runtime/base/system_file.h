#ifndef LUTRA_RUNTIME_BASE_SYSTEM_FILE_H_
#define LUTRA_RUNTIME_BASE_SYSTEM_FILE_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "runtime/base/file_descriptor.h"

// All that systems differ in about files: system_file_posix.cc and
// system_file_windows.cc. Descriptors are those of the C library. What fails
// says why in errno.
namespace lutra::system_file {

enum class Kind { kRegular, kFolder, kOther };

struct Status {
  Kind kind = Kind::kOther;
  uint64_t size = 0;
};

// Others may write the file, and give its name to another one. A pipe is
// opened, not waited for.
FileDescriptor OpenToRead(const std::filesystem::path& path) noexcept;
bool Look(int descriptor, Status& status) noexcept;
bool Look(const std::filesystem::path& path, Status& status) noexcept;

// Some of the bytes from an offset on, whatever the descriptor's own position;
// 0 at the end of the file, -1 if it fails, also by a signal (EINTR).
int64_t ReadSome(int descriptor, uint64_t offset,
                 std::span<std::byte> bytes) noexcept;
int64_t WriteSome(int descriptor, uint64_t offset,
                  std::span<const std::byte> bytes) noexcept;

// Offsets that can be mapped are multiples of this.
uint64_t MapGranularity() noexcept;
// At least one byte, to read; nullptr if it fails.
const std::byte* Map(int descriptor, uint64_t offset, size_t size) noexcept;
void Unmap(std::span<const std::byte> bytes) noexcept;
// A wish: pages of 2 MiB for whole ones.
void PreferHugePages(std::span<std::byte> bytes) noexcept;

// A number that no other living process has.
uint64_t ProcessNumber() noexcept;

// A new file. Invalid with EEXIST if there is one, or if another process took
// the new one for abandoned. It is held as long as the descriptor is open.
FileDescriptor CreateHeld(const std::filesystem::path& path) noexcept;
// Removes a file that nobody holds. What cannot be looked at stays.
void RemoveAbandoned(const std::filesystem::path& path) noexcept;
// Closes a held file and gives it another name, that of a file which was there
// as well.
bool Publish(FileDescriptor& file, const std::filesystem::path& from,
             const std::filesystem::path& to) noexcept;
void Remove(const std::filesystem::path& path) noexcept;

// Waits until no other process has the folder; ends with the descriptor. Where
// folders cannot be locked, it is invalid.
FileDescriptor LockFolder(const std::filesystem::path& folder) noexcept;

}  // namespace lutra::system_file

#endif  // LUTRA_RUNTIME_BASE_SYSTEM_FILE_H_
