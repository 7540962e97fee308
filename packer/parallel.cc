#include "packer/parallel.h"

#include <exception>
#include <mutex>

namespace lutra::packer {
namespace {

struct Job {
  const std::function<void(size_t)>& task;
  std::mutex mutex;
  std::exception_ptr error;
  size_t error_index = 0;

  // Whether a lower task has failed: then nobody wants the result.
  bool IsVain(size_t index) {
    const std::lock_guard<std::mutex> lock(mutex);
    return error != nullptr && error_index < index;
  }
};

// Exceptions must not cross pthreadpool, which is C.
void RunTask(void* context, size_t index) {
  Job& job = *static_cast<Job*>(context);
  if (job.IsVain(index)) return;
  try {
    job.task(index);
  } catch (...) {
    const std::lock_guard<std::mutex> lock(job.mutex);
    if (job.error == nullptr || index < job.error_index) {
      job.error = std::current_exception();
      job.error_index = index;
    }
  }
}

}  // namespace

void ParallelFor(pthreadpool_t pool, size_t count,
                 const std::function<void(size_t)>& task) {
  Job job{task, {}, nullptr, 0};
  pthreadpool_parallelize_1d(pool, RunTask, &job, count, /*flags=*/0);
  if (job.error != nullptr) std::rethrow_exception(job.error);
}

}  // namespace lutra::packer
