#include "runtime/io/file_bytes.h"

#include <cstring>
#include <string>

#include "lutra/runtime/error.h"
#include "runtime/base/log.h"
#include "runtime/base/regular_file.h"
#include "runtime/base/system_file.h"
#include "runtime/base/text_of.h"

namespace lutra {
namespace {

// Of x86 and, with pages of 4 KiB, of Arm.
constexpr size_t kHugePage = size_t{1} << 21;

bool IsAligned(uint64_t place) { return place % kMemoryAlignment == 0; }

void WarnOfCopy(std::string_view name, const char* what, uint64_t place) {
  Log(LogLevel::kWarning, name,
      TextOf("is copied, because its ", what, " ", place,
             " is no multiple of 64 bytes"));
}

}  // namespace

FileBytes::FileBytes(const std::filesystem::path& path, Storage storage) {
  const std::string name = path.string();
  const FileDescriptor file = OpenForReading(path);
  Read(file.get(), 0, RegularFileSize(file.get(), name), name, storage);
}

FileBytes::FileBytes(int descriptor, uint64_t offset, uint64_t size,
                     std::string_view name, Storage storage) {
  const uint64_t all = RegularFileSize(descriptor, name);
  if (offset > all || size > all - offset) {
    throw Error::InFile(name,
                        TextOf(size, " bytes from offset ", offset,
                               " on run past the end of a file of ", all),
                        ErrorCode::kInvalidArgument);
  }
  Read(descriptor, offset, size, name, storage);
}

FileBytes::FileBytes(Span<const std::byte> bytes, std::string_view name,
                     Storage storage) {
  if (storage == Storage::kInPlace) {
    const auto address = reinterpret_cast<uintptr_t>(bytes.data());
    if (IsAligned(address)) {
      bytes_ = bytes;
      return;
    }
    WarnOfCopy(name, "address", address);
  }
  std::byte* const memory = Allocate(bytes.size(), storage);
  if (!bytes.empty()) std::memcpy(memory, bytes.data(), bytes.size());
}

void FileBytes::Read(int descriptor, uint64_t offset, uint64_t size,
                     std::string_view name, Storage storage) {
  if (size > SIZE_MAX / 2) throw OutOfMemory("the file is too large to map");
  const auto count = static_cast<size_t>(size);
  // Pages are at multiples of more than the alignment.
  if (storage == Storage::kInPlace && IsAligned(offset)) {
    mapping_ =
        std::make_unique<const MappedFile>(descriptor, offset, count, name);
    bytes_ = mapping_->bytes();
    return;
  }
  if (storage == Storage::kInPlace) WarnOfCopy(name, "offset", offset);
  std::byte* const memory = Allocate(count, storage);
  ReadAt(descriptor, offset, {memory, count}, name);
}

std::byte* FileBytes::Allocate(size_t size, Storage storage) {
  const bool huge = storage == Storage::kHugePages && size >= kHugePage;
  memory_ = AllocateAligned(size, "a model file",
                            huge ? kHugePage : kMemoryAlignment);
  // The last page is whole, as sizes are rounded up.
  if (huge) {
    system_file::PreferHugePages(
        {memory_.get(), (size + kHugePage - 1) / kHugePage * kHugePage});
  }
  bytes_ = {memory_.get(), size};
  return memory_.get();
}

}  // namespace lutra
