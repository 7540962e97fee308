#include "lutra/runtime/output_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

#include "lutra/runtime/error.h"
#include "runtime/base/file_descriptor.h"
#include "runtime/base/folder_entries.h"
#include "runtime/base/system_error.h"

namespace lutra {
namespace {

// Some systems refuse a single write of 2 GiB or more.
constexpr size_t kMaxWriteBytes = size_t{1} << 30;

namespace fs = std::filesystem;

// Temporary files are called NAME.PROCESS.COUNT.tmp, and a writer holds a lock
// on its own as long as it lives.
constexpr std::string_view kSuffix = ".tmp";

// Drops a dot and digits from the end; false if there are none.
bool DropNumber(std::string_view& name) {
  const std::string_view all = name;
  while (!name.empty() && std::isdigit(static_cast<uint8_t>(name.back()))) {
    name.remove_suffix(1);
  }
  if (name.size() == all.size() || !name.ends_with('.')) return false;
  name.remove_suffix(1);
  return true;
}

bool IsTemporaryOf(std::string_view target, std::string_view name) {
  if (!name.ends_with(kSuffix)) return false;
  name.remove_suffix(kSuffix.size());
  for (int number = 0; number < 2; ++number) {  // COUNT, PROCESS
    if (!DropNumber(name)) return false;
  }
  return name == target;
}

// Removes the temporary files of writers that were killed. What cannot be
// looked at or locked stays.
void RemoveLeftovers(const fs::path& path) {
  const fs::path folder = path.has_parent_path() ? path.parent_path() : ".";
  const std::string target = path.filename().string();
  ForEachEntry(folder, [&](std::string_view name) {
    if (!IsTemporaryOf(target, name)) return;
    const fs::path leftover = folder / name;
    const FileDescriptor file(::open(
        leftover.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
    if (file.valid() && ::flock(file.get(), LOCK_EX | LOCK_NB) == 0) {
      ::unlink(leftover.c_str());
    }
  });
}

// Locks a new temporary file. False if another writer took it for a leftover in
// the moment before. Where the file system has no locks, files stay unlocked
// and leftovers stay.
bool Lock(const FileDescriptor& file) {
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) return errno != EWOULDBLOCK;
  struct stat status {};
  return ::fstat(file.get(), &status) != 0 || status.st_nlink > 0;
}

}  // namespace

struct OutputFile::State {
  std::string path;
  std::string temporary;
  FileDescriptor file;
  uint64_t appended = 0;
};

OutputFile::OutputFile(const std::filesystem::path& path) {
  const std::string name = path.string();
  struct stat status {};
  if (::stat(name.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    throw Error::InFile(name,
                        S_ISDIR(status.st_mode)
                            ? "cannot write: is a folder"
                            : "cannot write: is not a regular file",
                        ErrorCode::kInvalidArgument);
  }
  RemoveLeftovers(path);
  // In the same folder, so that the rename stays within one file system.
  static std::atomic<unsigned> counter = 0;
  for (;;) {
    std::string temporary = name + "." + std::to_string(::getpid()) + "." +
                            std::to_string(counter.fetch_add(1)) +
                            std::string(kSuffix);
    FileDescriptor file(::open(temporary.c_str(),
                               O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (!file.valid() && errno != EEXIST) {
      throw SystemError(name, "cannot write", errno);
    }
    if (!file.valid() || !Lock(file)) continue;
    state_ = std::unique_ptr<State>(
        new State{name, std::move(temporary), std::move(file)});
    return;
  }
}

OutputFile::~OutputFile() {
  if (state_) ::unlink(state_->temporary.c_str());
}

void OutputFile::WriteAt(uint64_t offset, Span<const std::byte> data) {
  while (!data.empty()) {
    const ssize_t written = ::pwrite(state_->file.get(), data.data(),
                                     std::min(data.size(), kMaxWriteBytes),
                                     static_cast<off_t>(offset));
    if (written < 0) {
      if (errno == EINTR) continue;
      throw SystemError(state_->path, "cannot write", errno);
    }
    offset += static_cast<uint64_t>(written);
    data = data.subspan(static_cast<size_t>(written));
  }
}

void OutputFile::Append(std::string_view text) {
  WriteAt(state_->appended, std::as_bytes(std::span(text.data(), text.size())));
  state_->appended += text.size();
}

const std::string& OutputFile::temporary() const { return state_->temporary; }

void OutputFile::Commit() {
  // The lock lasts until the file has its name.
  const FileDescriptor lock(::dup(state_->file.get()));
  if (!lock.valid() || !state_->file.Close() ||
      std::rename(state_->temporary.c_str(), state_->path.c_str()) != 0) {
    throw SystemError(state_->path, "cannot write", errno);
  }
  state_.reset();
}

}  // namespace lutra
