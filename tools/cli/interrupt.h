#ifndef LUTRA_TOOLS_CLI_INTERRUPT_H_
#define LUTRA_TOOLS_CLI_INTERRUPT_H_

#include <array>
#include <csignal>

#include "lutra/runtime/language_model.h"

// What Ctrl-C does to a verb, other than to end the process.

namespace lutra::tools {

// While it lives, Ctrl-C (SIGINT) cancels the model's calls instead of ending
// the process, and makes a read from the terminal fail. One at a time.
class CancelOnInterrupt {
 public:
  explicit CancelOnInterrupt(LanguageModel& model);
  ~CancelOnInterrupt();
  CancelOnInterrupt(const CancelOnInterrupt&) = delete;
  CancelOnInterrupt& operator=(const CancelOnInterrupt&) = delete;

  // Whether there was a Ctrl-C since the last call.
  bool Take();
};

// For work that writes a file: while it lives, a signal that asks the process
// to end (SIGINT, SIGTERM, SIGHUP) is only remembered, and Check ends the work
// by an exception, so that what was begun is removed. The same signal once more
// ends the process at once. One at a time.
class EndOnInterrupt {
 public:
  EndOnInterrupt();
  ~EndOnInterrupt();
  EndOnInterrupt(const EndOnInterrupt&) = delete;
  EndOnInterrupt& operator=(const EndOnInterrupt&) = delete;

  // Throws ExitStatus with 128 + the signal, as shells have it, if there was
  // one. From any thread.
  void Check() const;
  // Whether it would.
  static bool IsWanted();

 private:
  static constexpr std::array<int, 3> kSignals = {SIGINT, SIGTERM, SIGHUP};
  std::array<struct sigaction, kSignals.size()> before_;
};

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_CLI_INTERRUPT_H_
