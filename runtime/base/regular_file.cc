#include "runtime/base/regular_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "lutra/runtime/error.h"
#include "runtime/base/system_error.h"

namespace lutra {
namespace {

// Some systems refuse a single read of 2 GiB or more.
constexpr size_t kMaxReadBytes = size_t{1} << 30;

}  // namespace

FileDescriptor OpenForReading(const std::filesystem::path& path) {
  // A pipe must be refused later, not waited for.
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.valid()) throw SystemError(path.string(), "cannot open", errno);
  return file;
}

uint64_t RegularFileSize(int descriptor, std::string_view name) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) {
    throw SystemError(name, "cannot read", errno);
  }
  if (!S_ISREG(status.st_mode)) {
    throw Error::InFile(name,
                        S_ISDIR(status.st_mode) ? "is a folder, not a file"
                                                : "is not a regular file",
                        ErrorCode::kInvalidArgument);
  }
  return static_cast<uint64_t>(status.st_size);
}

void ReadAt(int descriptor, uint64_t offset, std::span<std::byte> bytes,
            std::string_view name) {
  while (!bytes.empty()) {
    const ssize_t count =
        ::pread(descriptor, bytes.data(), std::min(bytes.size(), kMaxReadBytes),
                static_cast<off_t>(offset));
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
