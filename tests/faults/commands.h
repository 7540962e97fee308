#ifndef LUTRA_TESTS_FAULTS_COMMANDS_H_
#define LUTRA_TESTS_FAULTS_COMMANDS_H_

#include <string>
#include <vector>

// Commands that are run while calls of the C library fail. They run in a folder
// of small models and data; what they write is in its folder "out".

namespace lutra::faults {

struct Command {
  std::string name;
  std::vector<std::string> call;
  std::string input = {};  // standard input
  // Goes on where a killed one has stopped, with the same result.
  std::vector<std::string> go_on = {};
};

// Makes what they read in the current folder.
void MakeSources();

std::vector<Command> Commands();

}  // namespace lutra::faults

#endif  // LUTRA_TESTS_FAULTS_COMMANDS_H_
