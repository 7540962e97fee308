#ifndef LUTRA_TESTS_GOLDEN_REPLAY_REPLAY_COMMAND_H_
#define LUTRA_TESTS_GOLDEN_REPLAY_REPLAY_COMMAND_H_

#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tests/golden_replay/command.h"

// Runs golden_replay inside a test.

namespace lutra::golden {

struct Outcome {
  int exit_code = 0;
  std::string out;
  std::string err;
};

inline Outcome Replay(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "golden_replay");
  std::vector<const char*> argv;
  for (const std::string& argument : arguments) {
    argv.push_back(argument.c_str());
  }
  std::ostringstream out;
  std::ostringstream err;
  Outcome outcome;
  outcome.exit_code =
      RunGoldenReplay(static_cast<int>(argv.size()), argv.data(), out, err);
  outcome.out = out.str();
  outcome.err = err.str();
  return outcome;
}

inline Outcome ReplayFolder(const std::filesystem::path& folder) {
  return Replay({folder.string()});
}

inline nlohmann::json ReplayAsJson(const std::filesystem::path& folder) {
  return nlohmann::json::parse(Replay({folder.string(), "--json"}).out);
}

// Copies the files of a folder; those of the test data are read-only.
inline void CopyFiles(const std::filesystem::path& from,
                      const std::filesystem::path& to) {
  std::filesystem::create_directories(to);
  for (const auto& entry : std::filesystem::directory_iterator(from)) {
    const auto copy = to / entry.path().filename();
    std::filesystem::copy_file(entry.path(), copy);
    std::filesystem::permissions(copy, std::filesystem::perms::owner_all);
  }
}

}  // namespace lutra::golden

#endif  // LUTRA_TESTS_GOLDEN_REPLAY_REPLAY_COMMAND_H_
