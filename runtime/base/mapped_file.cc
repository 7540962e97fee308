#include "runtime/base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>

#include "lutra/runtime/error.h"
#include "runtime/base/file_descriptor.h"
#include "runtime/base/system_error.h"

namespace lutra {

MappedFile::MappedFile(const std::filesystem::path& path) {
  const std::string name = path.string();
  // A pipe must be refused below, not waited for.
  const FileDescriptor file(
      ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.valid()) {
    throw SystemError(name, "cannot open", errno);
  }
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) {
    throw SystemError(name, "cannot read", errno);
  }
  if (!S_ISREG(status.st_mode)) {
    throw Error::InFile(name,
                        S_ISDIR(status.st_mode) ? "is a folder, not a file"
                                                : "is not a regular file",
                        ErrorCode::kInvalidArgument);
  }
  const auto size = static_cast<size_t>(status.st_size);
  if (size == 0) return;  // nothing to map
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (address == MAP_FAILED) {
    throw SystemError(name, "cannot map", errno);
  }
  bytes_ = {static_cast<const std::byte*>(address), size};
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) {
    ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  }
}

}  // namespace lutra
