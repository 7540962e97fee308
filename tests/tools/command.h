#ifndef LUTRA_TESTS_TOOLS_COMMAND_H_
#define LUTRA_TESTS_TOOLS_COMMAND_H_

#include <filesystem>
#include <string>
#include <vector>

// Runs the lutra command of this build.

namespace lutra::tools {

struct Outcome {
  int exit_code = 0;  // -1: ended by a signal
  std::string out;
  std::string err;
};

// Where the command's standard output goes.
enum class Stdout { kCaptured, kClosedPipe, kFullDisk };

struct RunSettings {
  Stdout destination = Stdout::kCaptured;
  std::string input = {};  // for its standard input
  // Sends SIGINT (Ctrl-C) as soon as there is output.
  bool interrupt = false;
};

Outcome RunLutra(const std::vector<std::string>& arguments,
                 const RunSettings& settings);
Outcome RunLutra(const std::vector<std::string>& arguments,
                 Stdout destination = Stdout::kCaptured);

// The output of a run that must succeed; fails the test otherwise.
std::string OutputOf(const std::vector<std::string>& arguments);

// Names in a folder, sorted.
std::vector<std::string> FilesIn(const std::filesystem::path& folder);

}  // namespace lutra::tools

#endif  // LUTRA_TESTS_TOOLS_COMMAND_H_
