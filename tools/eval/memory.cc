#include "lutra/eval/memory.h"

#include <fstream>
#include <string>

#if defined(__APPLE__)
#include <sys/resource.h>
#endif

namespace lutra::eval {

uint64_t PeakMemoryBytes() {
#if defined(__linux__)
  // Not getrusage: its maximum includes the program that started this one, and
  // cannot be reset.
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    uint64_t kibibytes = 0;
    if (word == "VmHWM:" && status >> kibibytes) return kibibytes * 1024;
  }
#elif defined(__APPLE__)
  rusage usage;
  if (getrusage(RUSAGE_SELF, &usage) == 0) {
    return static_cast<uint64_t>(usage.ru_maxrss);
  }
#endif
  return 0;
}

void ResetPeakMemory() {
#if defined(__linux__)
  // "5" resets VmHWM, see proc(5).
  std::ofstream("/proc/self/clear_refs") << "5";
#endif
}

}  // namespace lutra::eval
