#include "lutra/runtime/output_file.h"

#include <atomic>
#include <cctype>
#include <cerrno>
#include <string>
#include <string_view>
#include <utility>

#include "lutra/runtime/error.h"
#include "runtime/base/file_descriptor.h"
#include "runtime/base/folder_entries.h"
#include "runtime/base/system_error.h"
#include "runtime/base/system_file.h"
#include "runtime/base/text_of.h"

namespace lutra {
namespace {

namespace fs = std::filesystem;

// Temporary files are called NAME.PROCESS.COUNT.tmp, and a writer holds its own
// as long as it lives.
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

// Removes the temporary files of writers that were killed.
void RemoveLeftovers(const fs::path& path) {
  const fs::path folder = path.has_parent_path() ? path.parent_path() : ".";
  const std::string target = path.filename().string();
  ForEachEntry(folder, [&](std::string_view name) {
    if (IsTemporaryOf(target, name)) {
      system_file::RemoveAbandoned(folder / name);
    }
  });
}

}  // namespace

struct OutputFile::State {
  fs::path path;
  fs::path temporary;
  std::string temporary_name;
  FileDescriptor file;
  uint64_t appended = 0;
};

OutputFile::OutputFile(const std::filesystem::path& path) {
  const std::string name = path.string();
  system_file::Status status;
  if (system_file::Look(path, status) &&
      status.kind != system_file::Kind::kRegular) {
    throw Error::InFile(name,
                        status.kind == system_file::Kind::kFolder
                            ? "cannot write: is a folder"
                            : "cannot write: is not a regular file",
                        ErrorCode::kInvalidArgument);
  }
  RemoveLeftovers(path);
  // In the same folder, so that the rename stays within one file system.
  static std::atomic<unsigned> counter = 0;
  auto state = std::make_unique<State>();
  state->path = path;
  do {
    state->temporary_name = TextOf(name, ".", system_file::ProcessNumber(), ".",
                                   counter.fetch_add(1), kSuffix);
    state->temporary = state->temporary_name;
    state->file = system_file::CreateHeld(state->temporary);
  } while (!state->file.valid() && errno == EEXIST);
  if (!state->file.valid()) throw SystemError(name, "cannot write", errno);
  state_ = std::move(state);
}

OutputFile::~OutputFile() {
  if (!state_) return;
  state_->file.Close();  // an open file cannot be removed everywhere
  system_file::Remove(state_->temporary);
}

void OutputFile::WriteAt(uint64_t offset, Span<const std::byte> data) {
  while (!data.empty()) {
    const int64_t written =
        system_file::WriteSome(state_->file.get(), offset, data);
    if (written < 0) {
      if (errno == EINTR) continue;
      throw SystemError(state_->path.string(), "cannot write", errno);
    }
    offset += static_cast<uint64_t>(written);
    data = data.subspan(static_cast<size_t>(written));
  }
}

void OutputFile::Append(std::string_view text) {
  WriteAt(state_->appended, std::as_bytes(std::span(text.data(), text.size())));
  state_->appended += text.size();
}

const std::string& OutputFile::temporary() const {
  return state_->temporary_name;
}

void OutputFile::Commit() {
  if (!system_file::Publish(state_->file, state_->temporary, state_->path)) {
    throw SystemError(state_->path.string(), "cannot write", errno);
  }
  state_.reset();
}

}  // namespace lutra
