#ifndef LUTRA_RUNTIME_BASE_THREAD_COUNT_H_
#define LUTRA_RUNTIME_BASE_THREAD_COUNT_H_

#include <cstddef>
#include <string>
#include <vector>

namespace lutra {

// How many threads are worth having, and why.
struct ThreadChoice {
  // The default: one for each core that the process may use. Threads that share
  // a core share its arithmetic units, slow cores beside fast ones make little
  // difference, and threads beyond a quota only use it up sooner. At least 1.
  size_t threads = 1;
  // Any above these wait for each other: hardware threads, or the quota.
  size_t most = 1;
  // What `threads` counts, e.g. "fast cores among 8 that this process may run
  // on".
  std::string reason;
  size_t cores = 1;             // that the process may run on
  size_t hardware_threads = 1;  // likewise
  // CPUs' worth of time that a control group allows; 0: no limit.
  double quota = 0;
};

// Where a choice is read from; tests make theirs up.
struct ThreadSources {
  // Before /sys and /proc. Files that are missing, or hold anything but what
  // they should, count for nothing.
  std::string root;
  // The numbers of the CPUs that the process may run on.
  std::vector<size_t> allowed;
  // What cpuinfo says, for systems whose /sys does not; 0: nothing. In virtual
  // machines it can be wrong.
  size_t detected_cores = 0;
};

ThreadChoice ChooseThreads(const ThreadSources& sources);
// For this process as it is now.
ThreadChoice ChooseThreads();

}  // namespace lutra

#endif  // LUTRA_RUNTIME_BASE_THREAD_COUNT_H_
