#ifndef LUTRA_KERNELS_THREADS_THREAD_TEAM_H_
#define LUTRA_KERNELS_THREADS_THREAD_TEAM_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "kernels/threads/helper_choice.h"
#include "lutra/kernels/executor.h"

namespace lutra {

// The threads of StartThreadTeam: the caller of Run and helpers. Each has a
// range of a loop's pieces and, when that is done, takes what is left of the
// others': neighbouring pieces read neighbouring memory, which is faster by one
// thread. A loop is open while it has pieces that nobody has taken; a helper
// that comes too late finds it closed and has lost nothing, so the caller only
// waits for helpers that are in the middle of a piece. Where the system has too
// few CPUs for all of them, HelperChoice lets some rest.
class ThreadTeam : public Executor {
 public:
  // At least 2 threads. Throws std::runtime_error.
  explicit ThreadTeam(size_t threads);
  ~ThreadTeam() override;

  size_t threads() const noexcept override { return helper_count_ + 1; }
  void Run(size_t tasks, Task task, void* context) noexcept override;

 private:
  enum Signal : uint32_t { kAwake, kAsleep };
  struct alignas(64) Helper {
    std::thread thread;
    // What the helper sleeps on.
    std::atomic<uint32_t> signal = kAwake;
    // Whether it is to take part in loops, and the range it begins with.
    std::atomic<bool> wanted = true;
    std::atomic<size_t> range = 0;
    std::atomic<bool> in_the_way = false;
  };

  // Consecutive pieces of the open loop.
  struct alignas(64) Range {
    // The number of the loop, and below it the first piece that nobody has
    // taken. To take a piece is to raise it while the loop is the same.
    std::atomic<uint64_t> ticket;
    std::atomic<uint32_t> end = 0;
  };

  void Stop();
  static void Wake(Helper& helper);
  // Opens a loop and calls the helpers that take part.
  uint32_t Open(uint32_t tasks, Task task, void* context);
  void Help(Helper& self, HelperChoice::Part& part);
  // Waits for a loop that is not `seen`.
  uint32_t WaitForLoop(Helper& self, uint32_t seen, bool may_spin);
  void Close(uint32_t number);
  // Takes pieces of loop `number` as long as there are any, those of a range
  // first.
  uint32_t TakePieces(uint32_t number, size_t range);
  uint32_t TakePiecesOf(Range& range, uint32_t number);
  // Waits until helpers have finished `count` pieces; false if they had.
  bool WaitForPieces(uint32_t count);

  size_t helper_count_;
  std::unique_ptr<Helper[]> helpers_;
  // Which of them take part, and what they did in the last loop.
  HelperChoice choice_;
  std::vector<HelperChoice::Part> parts_;
  std::atomic<size_t> started_ = 0;  // helpers
  std::atomic<bool> busy_ = false;
  std::atomic<bool> stopping_ = false;

  std::unique_ptr<Range[]> ranges_;  // one for each thread
  // Of the loop that is open, or was.
  alignas(64) std::atomic<uint32_t> number_ = 0;
  std::atomic<size_t> range_count_ = 0;
  std::atomic<Task> task_ = nullptr;
  std::atomic<void*> context_ = nullptr;
  std::atomic<int> callers_cpu_ = -1;
  // Pieces that helpers have finished.
  alignas(64) std::atomic<uint32_t> finished_ = 0;
};

}  // namespace lutra

#endif  // LUTRA_KERNELS_THREADS_THREAD_TEAM_H_
