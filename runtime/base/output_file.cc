#include "lutra/runtime/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <string>

#include "lutra/runtime/error.h"
#include "runtime/base/file_descriptor.h"

namespace lutra {
namespace {

// Some systems refuse a single write of 2 GiB or more.
constexpr size_t kMaxWriteBytes = size_t{1} << 30;

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
    throw Error::InFile(name, S_ISDIR(status.st_mode)
                                  ? "cannot write: is a folder"
                                  : "cannot write: is not a regular file");
  }
  // In the same folder, so that the rename stays within one file system. A
  // process that was killed may have left a file of this name behind.
  static std::atomic<unsigned> counter = 0;
  std::string temporary;
  int descriptor = -1;
  do {
    temporary = name + "." + std::to_string(::getpid()) + "." +
                std::to_string(counter.fetch_add(1)) + ".tmp";
    descriptor = ::open(temporary.c_str(),
                        O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (descriptor < 0 && errno == EEXIST);
  if (descriptor < 0) {
    throw Error::InFile(name, "cannot write: " + SystemMessage(errno));
  }
  state_ = std::unique_ptr<State>(
      new State{name, temporary, FileDescriptor(descriptor)});
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
      throw Error::InFile(state_->path,
                          "cannot write: " + SystemMessage(errno));
    }
    offset += static_cast<uint64_t>(written);
    data = data.subspan(static_cast<size_t>(written));
  }
}

void OutputFile::Append(std::string_view text) {
  WriteAt(state_->appended, std::as_bytes(std::span(text)));
  state_->appended += text.size();
}

const std::string& OutputFile::temporary() const { return state_->temporary; }

void OutputFile::Commit() {
  if (!state_->file.Close() ||
      std::rename(state_->temporary.c_str(), state_->path.c_str()) != 0) {
    throw Error::InFile(state_->path, "cannot write: " + SystemMessage(errno));
  }
  state_.reset();
}

}  // namespace lutra
