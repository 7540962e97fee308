#ifndef LUTRA_TOOLS_INTERRUPT_H_
#define LUTRA_TOOLS_INTERRUPT_H_

#include "lutra/runtime/language_model.h"

namespace lutra::tools {

// While it lives, Ctrl-C (SIGINT) cancels the model's calls instead of ending
// the process, and makes a read from the terminal fail. One at a time.
class CancelOnInterrupt {
 public:
  explicit CancelOnInterrupt(LanguageModel& model);
  ~CancelOnInterrupt();
  CancelOnInterrupt(const CancelOnInterrupt&) = delete;
  CancelOnInterrupt& operator=(const CancelOnInterrupt&) = delete;
};

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_INTERRUPT_H_
