#ifndef LUTRA_TOOLS_CLI_COMMAND_DESCRIPTION_H_
#define LUTRA_TOOLS_CLI_COMMAND_DESCRIPTION_H_

#include <string>
#include <vector>

// What --help says, as data: for the pages and scripts that are made of it.

namespace lutra::tools {

struct OptionDescription {
  std::vector<std::string> names;  // "-o", "--output"; empty for a positional
  std::string positional;          // "MODEL"; else empty
  std::string value;               // "FILE", "TEXT:{gptq,clip}"; "": a flag
  std::vector<std::string> words;  // all values there are, if these are few
  std::string default_value;       // "" if none is shown
  std::string text;
  bool required = false;
  bool repeated = false;  // may be given several times, or have several values
};

struct VerbDescription {
  std::string name;
  std::string text;
  std::string footer;
  std::vector<OptionDescription> options;
};

struct CommandDescription {
  VerbDescription command;  // its options without a verb
  std::vector<VerbDescription> verbs;
};

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_CLI_COMMAND_DESCRIPTION_H_
