#include "tools/memory.h"

#include <fstream>

#if defined(__unix__) || defined(__APPLE__)
#include <sys/resource.h>
#endif

namespace lutra::tools {

uint64_t PeakMemoryBytes() {
#if defined(__unix__) || defined(__APPLE__)
  rusage usage;
  if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  const auto peak = static_cast<uint64_t>(usage.ru_maxrss);
#if defined(__APPLE__)
  return peak;
#else
  return peak * 1024;
#endif
#else
  return 0;
#endif
}

void ResetPeakMemory() {
#if defined(__linux__)
  // "5" resets VmHWM, see proc(5).
  std::ofstream("/proc/self/clear_refs") << "5";
#endif
}

}  // namespace lutra::tools
