#ifndef LUTRA_KERNELS_THREAD_TEAM_H_
#define LUTRA_KERNELS_THREAD_TEAM_H_

#include <cstddef>
#include <memory>

#include "lutra/kernels/executor.h"

namespace lutra {

// Starts a team of `threads` threads, the one that calls Run among them.
// nullptr, the calling thread alone, for 0 or 1, and in a build without
// threads. Throws std::runtime_error with one line if the system does not
// start so many.
//
// Threads take pieces one by one, whoever is free; the caller takes what nobody
// has taken and waits for pieces in progress only. Idle threads spin for some
// ten microseconds, then sleep. Run may be called by several threads at once,
// and by tasks: whoever finds the team busy runs its loop alone.
std::unique_ptr<Executor> StartThreadTeam(size_t threads);

}  // namespace lutra

#endif  // LUTRA_KERNELS_THREAD_TEAM_H_
