#ifndef LUTRA_TESTS_TOOLS_COMMAND_H_
#define LUTRA_TESTS_TOOLS_COMMAND_H_

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

// Runs the lutra command of this build.

namespace lutra::tools {

struct Outcome {
  int exit_code = 0;  // -1: ended by a signal
  int signal = 0;     // that one
  std::string out;
  std::string err;
  // Most memory it held, or this process when it started the command, which
  // systems do not tell apart.
  size_t peak_bytes = 0;
};

// Where the command's standard output goes.
enum class Stdout { kCaptured, kClosedPipe, kFullDisk };

struct RunSettings {
  Stdout destination = Stdout::kCaptured;
  std::string input = {};  // for its standard input
  // Standard input is a pipe instead, in which nothing ever comes. An interrupt
  // is repeated then, for one that comes before the command waits is in vain.
  bool silent_input = false;
  // The longest file it may write, in bytes (ulimit -f); 0: any.
  size_t file_limit = 0;
  // Sends SIGINT (Ctrl-C) as soon as there is output.
  bool interrupt = false;
  // Sends SIGINT as soon as there is a file in this folder.
  std::filesystem::path interrupt_on_file = {};
};

Outcome RunLutra(const std::vector<std::string>& arguments,
                 const RunSettings& settings);
Outcome RunLutra(const std::vector<std::string>& arguments,
                 Stdout destination = Stdout::kCaptured);

// The output of a run that must succeed; fails the test otherwise.
std::string OutputOf(const std::vector<std::string>& arguments);

// Checks what every failure has: one line on standard error that names the
// cause, nothing on standard output, and exit code 1.
void ExpectError(const Outcome& outcome);

// Names in a folder, sorted.
std::vector<std::string> FilesIn(const std::filesystem::path& folder);

}  // namespace lutra::tools

#endif  // LUTRA_TESTS_TOOLS_COMMAND_H_
