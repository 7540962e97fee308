#ifndef LUTRA_RUNTIME_BASE_THREADS_H_
#define LUTRA_RUNTIME_BASE_THREADS_H_

#include <cstddef>
#include <memory>

#include "lutra/kernels/executor.h"

namespace lutra {

// More is a mistake.
inline constexpr size_t kMaxThreads = 1024;

// A team of `wanted` threads, the calling one among them, but not more than
// ThreadChoice::most; 0: ThreadChoice::threads. nullptr, the calling thread,
// for one. Throws Error, also where the system starts no threads.
std::unique_ptr<Executor> StartThreads(size_t wanted);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_BASE_THREADS_H_
