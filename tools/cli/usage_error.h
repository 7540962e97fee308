#ifndef LUTRA_TOOLS_CLI_USAGE_ERROR_H_
#define LUTRA_TOOLS_CLI_USAGE_ERROR_H_

#include <stdexcept>
#include <string>

namespace lutra::tools {

// The command line is wrong: exit code 2. Thrown by CommandLine::Parse, and by
// verbs for what only they can tell. It is no Error, which is exit code 1.
class UsageError : public std::runtime_error {
 public:
  explicit UsageError(const std::string& message)
      : std::runtime_error(message) {}
  // "option: message".
  UsageError(const std::string& option, const std::string& message)
      : std::runtime_error(option + ": " + message) {}
};

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_CLI_USAGE_ERROR_H_
