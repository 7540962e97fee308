#ifndef LUTRA_KERNELS_EXECUTOR_H_
#define LUTRA_KERNELS_EXECUTOR_H_

#include <cstddef>

namespace lutra {

// Threads that share the pieces of loops. lutra has its own, see
// thread_team.h; a program that has threads already implements this to run
// lutra on them. Where an Executor* is nullptr, the calling thread does all.
//
// Whatever the pieces are given to, results have the same bits.
class Executor {
 public:
  using Task = void (*)(void* context, size_t index);

  virtual ~Executor() = default;

  // How many threads may run pieces at the same time, the one that calls Run
  // among them: at least 1, always the same. Loops are cut by it and memory is
  // planned for it.
  virtual size_t threads() const noexcept = 0;

  // Calls task(context, i) once for each i below `tasks`, on any threads, in
  // any order, and returns when all calls have returned; what they have written
  // can then be read by the caller. Tasks throw nothing and never call Run of
  // the executor that runs them. It is best to let threads take pieces one by
  // one: then a thread that the system has taken away holds up no more than
  // one.
  //
  // Called by whichever thread calls lutra. Where an executor serves programs
  // that are used by several threads at once, so are its Runs.
  virtual void Run(size_t tasks, Task task, void* context) noexcept = 0;
};

}  // namespace lutra

#endif  // LUTRA_KERNELS_EXECUTOR_H_
