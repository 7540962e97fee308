#include "runtime/base/thread_count.h"

#include <cpuinfo.h>

#if defined(__linux__)
#include <sched.h>
#endif

#include <algorithm>
#include <thread>

namespace lutra {
namespace {

size_t CoreCount() {
  if (cpuinfo_initialize()) return cpuinfo_get_cores_count();
  return std::thread::hardware_concurrency();
}

// Containers and taskset leave a process fewer processors than there are.
size_t AllowedProcessors(size_t otherwise) {
#if defined(__linux__)
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) {
    return static_cast<size_t>(CPU_COUNT(&allowed));
  }
#endif
  return otherwise;
}

}  // namespace

size_t DefaultThreadCount() {
  const size_t cores = CoreCount();
  return std::max<size_t>(1, std::min(cores, AllowedProcessors(cores)));
}

}  // namespace lutra
