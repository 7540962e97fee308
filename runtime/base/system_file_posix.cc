#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "runtime/base/system_file.h"

namespace lutra::system_file {
namespace {

// Some systems refuse a single read or write of 2 GiB or more.
constexpr size_t kMostBytes = size_t{1} << 30;

Status StatusOf(const struct stat& found) {
  Status status;
  if (S_ISREG(found.st_mode)) status.kind = Kind::kRegular;
  if (S_ISDIR(found.st_mode)) status.kind = Kind::kFolder;
  status.size = static_cast<uint64_t>(found.st_size);
  return status;
}

}  // namespace

FileDescriptor OpenToRead(const std::filesystem::path& path) noexcept {
  return FileDescriptor(
      ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
}

bool Look(int descriptor, Status& status) noexcept {
  struct stat found {};
  if (::fstat(descriptor, &found) != 0) return false;
  status = StatusOf(found);
  return true;
}

bool Look(const std::filesystem::path& path, Status& status) noexcept {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) return false;
  status = StatusOf(found);
  return true;
}

int64_t ReadSome(int descriptor, uint64_t offset,
                 std::span<std::byte> bytes) noexcept {
  return ::pread(descriptor, bytes.data(), std::min(bytes.size(), kMostBytes),
                 static_cast<off_t>(offset));
}

int64_t WriteSome(int descriptor, uint64_t offset,
                  std::span<const std::byte> bytes) noexcept {
  return ::pwrite(descriptor, bytes.data(), std::min(bytes.size(), kMostBytes),
                  static_cast<off_t>(offset));
}

uint64_t MapGranularity() noexcept {
  return static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

const std::byte* Map(int descriptor, uint64_t offset, size_t size) noexcept {
  void* const address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE,
                               descriptor, static_cast<off_t>(offset));
  return address == MAP_FAILED ? nullptr
                               : static_cast<const std::byte*>(address);
}

void Unmap(std::span<const std::byte> bytes) noexcept {
  ::munmap(const_cast<std::byte*>(bytes.data()), bytes.size());
}

void PreferHugePages([[maybe_unused]] std::span<std::byte> bytes) noexcept {
#if defined(MADV_HUGEPAGE)
  ::madvise(bytes.data(), bytes.size(), MADV_HUGEPAGE);
#endif
}

uint64_t ProcessNumber() noexcept { return static_cast<uint64_t>(::getpid()); }

FileDescriptor CreateHeld(const std::filesystem::path& path) noexcept {
  FileDescriptor file(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!file.valid()) return file;
  // Where the file system has no locks, files stay unlocked, and abandoned ones
  // where they are.
  struct stat found {};
  const bool locked = ::flock(file.get(), LOCK_EX | LOCK_NB) == 0;
  const bool taken =
      locked ? ::fstat(file.get(), &found) == 0 && found.st_nlink == 0
             : errno == EWOULDBLOCK;
  if (taken) {
    file.Close();
    errno = EEXIST;
  }
  return file;
}

void RemoveAbandoned(const std::filesystem::path& path) noexcept {
  const FileDescriptor file(
      ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
  if (file.valid() && ::flock(file.get(), LOCK_EX | LOCK_NB) == 0) {
    ::unlink(path.c_str());
  }
}

bool Publish(FileDescriptor& file, const std::filesystem::path& from,
             const std::filesystem::path& to) noexcept {
  // The lock lasts until the file has its name.
  const FileDescriptor lock(::dup(file.get()));
  return lock.valid() && file.Close() &&
         std::rename(from.c_str(), to.c_str()) == 0;
}

void Remove(const std::filesystem::path& path) noexcept {
  ::unlink(path.c_str());
}

FileDescriptor LockFolder(const std::filesystem::path& folder) noexcept {
  FileDescriptor lock(
      ::open(folder.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY));
  if (lock.valid()) ::flock(lock.get(), LOCK_EX);
  return lock;
}

}  // namespace lutra::system_file
