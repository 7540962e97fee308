#include "runtime/base/regular_file.h"

#include <cerrno>
#include <string>

#include "lutra/runtime/error.h"
#include "runtime/base/system_error.h"
#include "runtime/base/system_file.h"

namespace lutra {

FileDescriptor OpenForReading(const std::filesystem::path& path) {
  FileDescriptor file = system_file::OpenToRead(path);
  if (!file.valid()) throw SystemError(path.string(), "cannot open", errno);
  return file;
}

uint64_t RegularFileSize(int descriptor, std::string_view name) {
  system_file::Status status;
  if (!system_file::Look(descriptor, status)) {
    throw SystemError(name, "cannot read", errno);
  }
  if (status.kind != system_file::Kind::kRegular) {
    throw Error::InFile(name,
                        status.kind == system_file::Kind::kFolder
                            ? "is a folder, not a file"
                            : "is not a regular file",
                        ErrorCode::kInvalidArgument);
  }
  return status.size;
}

void ReadAt(int descriptor, uint64_t offset, std::span<std::byte> bytes,
            std::string_view name) {
  while (!bytes.empty()) {
    const int64_t count = system_file::ReadSome(descriptor, offset, bytes);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw SystemError(name, "cannot read", errno);
    if (count == 0) {
      throw Error::InFile(name, "has become shorter while it was read",
                          ErrorCode::kIo);
    }
    offset += static_cast<uint64_t>(count);
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
}

}  // namespace lutra
