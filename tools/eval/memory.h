#ifndef LUTRA_TOOLS_EVAL_MEMORY_H_
#define LUTRA_TOOLS_EVAL_MEMORY_H_

#include <cstdint>

namespace lutra::tools {

// The most physical memory this process ever had, mapped files included (VmHWM
// of /proc/self/status). 0 where the system does not say.
uint64_t PeakMemoryBytes();

// Makes PeakMemoryBytes count from now on, where the system can (Linux).
void ResetPeakMemory();

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_EVAL_MEMORY_H_
