#ifndef LUTRA_TOOLS_VERBS_BUSY_THREADS_H_
#define LUTRA_TOOLS_VERBS_BUSY_THREADS_H_

#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

namespace lutra::tools {

// Threads that compute and do nothing else, as other programs on a machine may,
// as long as this exists.
class BusyThreads {
 public:
  // Throws Error if they cannot be started.
  explicit BusyThreads(size_t count);
  ~BusyThreads();
  BusyThreads(const BusyThreads&) = delete;
  BusyThreads& operator=(const BusyThreads&) = delete;

 private:
  void Stop();

  std::atomic<bool> stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_VERBS_BUSY_THREADS_H_
