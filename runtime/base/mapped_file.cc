#include "runtime/base/mapped_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "runtime/base/regular_file.h"
#include "runtime/base/system_error.h"

namespace lutra {

MappedFile::MappedFile(const std::filesystem::path& path) {
  const std::string name = path.string();
  const FileDescriptor file = OpenForReading(path);
  const uint64_t size = RegularFileSize(file.get(), name);
  Map(file.get(), 0, static_cast<size_t>(size), name);
}

MappedFile::MappedFile(int descriptor, uint64_t offset, size_t size,
                       std::string_view name) {
  Map(descriptor, offset, size, name);
}

void MappedFile::Map(int descriptor, uint64_t offset, size_t size,
                     std::string_view name) {
  if (size == 0) return;  // nothing to map
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  const auto before = static_cast<size_t>(offset % page);
  void* address = ::mmap(nullptr, before + size, PROT_READ, MAP_PRIVATE,
                         descriptor, static_cast<off_t>(offset - before));
  if (address == MAP_FAILED) throw SystemError(name, "cannot map", errno);
  pages_ = {static_cast<const std::byte*>(address), before + size};
  bytes_ = pages_.subspan(before);
}

MappedFile::~MappedFile() {
  if (!pages_.empty()) {
    ::munmap(const_cast<std::byte*>(pages_.data()), pages_.size());
  }
}

}  // namespace lutra
