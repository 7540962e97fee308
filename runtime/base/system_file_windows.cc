#if !defined(NOMINMAX)
#define NOMINMAX
#endif
#include <fcntl.h>
#include <io.h>
#include <windows.h>

#include <algorithm>
#include <cerrno>

#include "runtime/base/system_file.h"

namespace lutra::system_file {
namespace {

// A single read or write takes 32 bits.
constexpr size_t kMostOfCall = size_t{1} << 30;

void SetErrno(DWORD error) {
  switch (error) {
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
    case ERROR_INVALID_NAME:
      errno = ENOENT;
      break;
    case ERROR_ACCESS_DENIED:
    case ERROR_SHARING_VIOLATION:
    case ERROR_USER_MAPPED_FILE:
    case ERROR_WRITE_PROTECT:
      errno = EACCES;
      break;
    case ERROR_FILE_EXISTS:
    case ERROR_ALREADY_EXISTS:
      errno = EEXIST;
      break;
    case ERROR_NOT_ENOUGH_MEMORY:
    case ERROR_OUTOFMEMORY:
    case ERROR_COMMITMENT_LIMIT:
      errno = ENOMEM;
      break;
    case ERROR_TOO_MANY_OPEN_FILES:
      errno = EMFILE;
      break;
    case ERROR_DISK_FULL:
    case ERROR_HANDLE_DISK_FULL:
      errno = ENOSPC;
      break;
    default:
      errno = EIO;
  }
}

HANDLE HandleOf(int descriptor) {
  return reinterpret_cast<HANDLE>(::_get_osfhandle(descriptor));
}

FileDescriptor Open(const std::filesystem::path& path, DWORD access,
                    DWORD share, DWORD disposition, int mode) {
  // Without the flag folders would be refused as files without permission.
  const HANDLE handle = ::CreateFileW(
      path.c_str(), access, share, nullptr, disposition,
      FILE_ATTRIBUTE_NORMAL | FILE_FLAG_BACKUP_SEMANTICS, nullptr);
  if (handle == INVALID_HANDLE_VALUE) {
    SetErrno(::GetLastError());
    return FileDescriptor(-1);
  }
  const int descriptor =
      ::_open_osfhandle(reinterpret_cast<intptr_t>(handle), mode | _O_BINARY);
  if (descriptor < 0) ::CloseHandle(handle);
  return FileDescriptor(descriptor);
}

// Where to read or write, for calls that are not asynchronous either.
OVERLAPPED At(uint64_t offset) {
  OVERLAPPED place = {};
  place.Offset = static_cast<DWORD>(offset);
  place.OffsetHigh = static_cast<DWORD>(offset >> 32);
  return place;
}

}  // namespace

FileDescriptor OpenToRead(const std::filesystem::path& path) noexcept {
  return Open(path, GENERIC_READ,
              FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
              OPEN_EXISTING, _O_RDONLY);
}

bool Look(int descriptor, Status& status) noexcept {
  const HANDLE handle = HandleOf(descriptor);
  if (handle == INVALID_HANDLE_VALUE) return false;
  status = {};
  if (::GetFileType(handle) != FILE_TYPE_DISK) return true;
  BY_HANDLE_FILE_INFORMATION found;
  if (!::GetFileInformationByHandle(handle, &found)) {
    SetErrno(::GetLastError());
    return false;
  }
  status.kind = (found.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0
                    ? Kind::kFolder
                    : Kind::kRegular;
  status.size = uint64_t{found.nFileSizeHigh} << 32 | found.nFileSizeLow;
  return true;
}

bool Look(const std::filesystem::path& path, Status& status) noexcept {
  // Access to nothing but this.
  const FileDescriptor file =
      Open(path, 0, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
           OPEN_EXISTING, _O_RDONLY);
  return file.valid() && Look(file.get(), status);
}

int64_t ReadSome(int descriptor, uint64_t offset,
                 std::span<std::byte> bytes) noexcept {
  OVERLAPPED place = At(offset);
  DWORD count = 0;
  if (::ReadFile(HandleOf(descriptor), bytes.data(),
                 static_cast<DWORD>(std::min(bytes.size(), kMostOfCall)),
                 &count, &place)) {
    return count;
  }
  const DWORD error = ::GetLastError();
  if (error == ERROR_HANDLE_EOF) return 0;
  SetErrno(error);
  return -1;
}

int64_t WriteSome(int descriptor, uint64_t offset,
                  std::span<const std::byte> bytes) noexcept {
  OVERLAPPED place = At(offset);
  DWORD count = 0;
  if (::WriteFile(HandleOf(descriptor), bytes.data(),
                  static_cast<DWORD>(std::min(bytes.size(), kMostOfCall)),
                  &count, &place)) {
    return count;
  }
  SetErrno(::GetLastError());
  return -1;
}

uint64_t MapGranularity() noexcept {
  SYSTEM_INFO info;
  ::GetSystemInfo(&info);
  return info.dwAllocationGranularity;
}

const std::byte* Map(int descriptor, uint64_t offset, size_t size) noexcept {
  const HANDLE mapping = ::CreateFileMappingW(HandleOf(descriptor), nullptr,
                                              PAGE_READONLY, 0, 0, nullptr);
  void* address = nullptr;
  if (mapping != nullptr) {
    address = ::MapViewOfFile(mapping, FILE_MAP_READ,
                              static_cast<DWORD>(offset >> 32),
                              static_cast<DWORD>(offset), size);
  }
  if (address == nullptr) SetErrno(::GetLastError());
  if (mapping != nullptr) ::CloseHandle(mapping);  // the view keeps it
  return static_cast<const std::byte*>(address);
}

void Unmap(std::span<const std::byte> bytes) noexcept {
  ::UnmapViewOfFile(bytes.data());
}

void PreferHugePages(std::span<std::byte>) noexcept {}  // wants a privilege

uint64_t ProcessNumber() noexcept { return ::GetCurrentProcessId(); }

// A file can be removed only while all who have it open allow it: who writes
// one holds it by allowing nobody.
FileDescriptor CreateHeld(const std::filesystem::path& path) noexcept {
  return Open(path, GENERIC_READ | GENERIC_WRITE,
              FILE_SHARE_READ | FILE_SHARE_WRITE, CREATE_NEW, _O_RDWR);
}

void RemoveAbandoned(const std::filesystem::path& path) noexcept {
  ::DeleteFileW(path.c_str());
}

bool Publish(FileDescriptor& file, const std::filesystem::path& from,
             const std::filesystem::path& to) noexcept {
  if (!file.Close()) return false;
  if (::MoveFileExW(from.c_str(), to.c_str(), MOVEFILE_REPLACE_EXISTING)) {
    return true;
  }
  SetErrno(::GetLastError());
  return false;
}

void Remove(const std::filesystem::path& path) noexcept {
  ::DeleteFileW(path.c_str());
}

FileDescriptor LockFolder(const std::filesystem::path&) noexcept {
  return FileDescriptor(-1);
}

}  // namespace lutra::system_file
