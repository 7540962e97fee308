#ifndef LUTRA_TOOLS_CLI_EXIT_STATUS_H_
#define LUTRA_TOOLS_CLI_EXIT_STATUS_H_

#include <stdexcept>
#include <string>

namespace lutra::tools {

// Thrown by a verb to end the command with a code of its own: with a message,
// which is printed as other errors are, or without one when it has printed all
// there is to say. It is no Error: it passes through what adds to errors where
// they arose.
class ExitStatus : public std::runtime_error {
 public:
  explicit ExitStatus(int code, const std::string& message = "")
      : std::runtime_error(message), code_(code) {}

  int code() const { return code_; }

 private:
  int code_;
};

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_CLI_EXIT_STATUS_H_
