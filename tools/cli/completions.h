#ifndef LUTRA_TOOLS_CLI_COMPLETIONS_H_
#define LUTRA_TOOLS_CLI_COMPLETIONS_H_

#include <string>

#include "tools/cli/command_description.h"

namespace lutra::tools {

// Scripts that tell a shell the verbs and options of a command, and the values
// of those that have few. Other words are completed as files.
std::string BashCompletions(const CommandDescription& description);
std::string ZshCompletions(const CommandDescription& description);
std::string FishCompletions(const CommandDescription& description);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_CLI_COMPLETIONS_H_
