// The one place that knows pthreadpool.

#include <pthreadpool.h>

#include "runtime/capi/executors.h"

namespace lutra::c_api {
namespace {

class PthreadpoolExecutor : public Executor {
 public:
  explicit PthreadpoolExecutor(pthreadpool_t pool) : pool_(pool) {}

  size_t threads() const noexcept override {
    return pthreadpool_get_threads_count(pool_);
  }
  void Run(size_t tasks, Task task, void* context) noexcept override {
    pthreadpool_parallelize_1d(pool_, task, context, tasks, 0);
  }

 private:
  const pthreadpool_t pool_;
};

}  // namespace

std::unique_ptr<Executor> MakePthreadpoolExecutor(pthreadpool* pool) {
  return std::make_unique<PthreadpoolExecutor>(pool);
}

}  // namespace lutra::c_api
