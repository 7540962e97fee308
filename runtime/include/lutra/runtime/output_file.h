#ifndef LUTRA_RUNTIME_OUTPUT_FILE_H_
#define LUTRA_RUNTIME_OUTPUT_FILE_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "lutra/kernels/span.h"

namespace lutra {

// A file that appears under its name only when it is complete: bytes go to a
// temporary file in the same folder, which Commit renames and the destructor
// removes. What a writer that was killed left behind is removed by the next one
// of the same path. One thread at a time.
//
// Where the size of files is limited (RLIMIT_FSIZE, ulimit -f), the system ends
// a process that writes past it by SIGXFSZ, before anything can be removed. A
// library does not change what signals do: a program that ignores this one gets
// an Error instead, as the lutra command does.
class OutputFile {
 public:
  // Throws Error, e.g. if the folder is missing or `path` is a folder or a
  // device.
  explicit OutputFile(const std::filesystem::path& path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  // Writes at `offset` bytes from the start, in any order. Throws Error.
  void WriteAt(uint64_t offset, Span<const std::byte> data);
  // Writes after the bytes appended so far. Throws Error.
  void Append(std::string_view text);
  // Where the bytes are until Commit: what was written can be read there.
  const std::string& temporary() const;
  // Replaces the file of that name, if any. Throws Error. Nothing may be
  // written afterwards.
  void Commit();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_OUTPUT_FILE_H_
