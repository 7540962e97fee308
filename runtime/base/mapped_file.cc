#include "runtime/base/mapped_file.h"

#include <cerrno>
#include <string>

#include "runtime/base/regular_file.h"
#include "runtime/base/system_error.h"
#include "runtime/base/system_file.h"

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
  const auto before =
      static_cast<size_t>(offset % system_file::MapGranularity());
  const std::byte* const address =
      system_file::Map(descriptor, offset - before, before + size);
  if (address == nullptr) throw SystemError(name, "cannot map", errno);
  pages_ = {address, before + size};
  bytes_ = pages_.subspan(before);
}

MappedFile::~MappedFile() {
  if (!pages_.empty()) system_file::Unmap(pages_);
}

}  // namespace lutra
