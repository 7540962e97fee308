#ifndef LUTRA_TOOLS_CLI_LOG_H_
#define LUTRA_TOOLS_CLI_LOG_H_

namespace lutra::tools {

// Prints the warnings of the libraries to stderr, each once: a verb may make
// many sessions with the same options.
void PrintLog();

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_CLI_LOG_H_
