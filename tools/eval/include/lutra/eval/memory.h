#ifndef LUTRA_EVAL_MEMORY_H_
#define LUTRA_EVAL_MEMORY_H_

#include <cstdint>

// Memory of this process, all threads together. From any thread.

namespace lutra::eval {

// The most bytes of physical memory this process ever had, mapped files
// included (VmHWM of /proc/self/status). 0 where the system does not say.
uint64_t PeakMemoryBytes();

// Makes PeakMemoryBytes count from now on, where the system can (Linux).
void ResetPeakMemory();

}  // namespace lutra::eval

#endif  // LUTRA_EVAL_MEMORY_H_
