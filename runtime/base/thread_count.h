#ifndef LUTRA_RUNTIME_BASE_THREAD_COUNT_H_
#define LUTRA_RUNTIME_BASE_THREAD_COUNT_H_

#include <cstddef>

namespace lutra {

// Cores of this machine that the process may run on, at least 1. Threads that
// share a core share its arithmetic units, so more do not help.
size_t DefaultThreadCount();

}  // namespace lutra

#endif  // LUTRA_RUNTIME_BASE_THREAD_COUNT_H_
