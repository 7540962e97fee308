#include "runtime/capi/executors.h"

#include "lutra/runtime/error.h"

namespace lutra::c_api {
namespace {

class AppExecutor : public Executor {
 public:
  explicit AppExecutor(const lutra_executor& app) : app_(app) {}

  size_t threads() const noexcept override { return app_.threads; }
  void Run(size_t tasks, Task task, void* context) noexcept override {
    app_.run(app_.context, tasks, task, context);
  }

 private:
  const lutra_executor app_;
};

}  // namespace

std::unique_ptr<Executor> MakeExecutor(const lutra_session_options& options) {
  if (options.executor == nullptr) {
    return options.thread_pool == nullptr
               ? nullptr
               : MakePthreadpoolExecutor(options.thread_pool);
  }
  if (options.thread_pool != nullptr) {
    throw Error("give a thread pool or an executor, not both");
  }
  const lutra_executor& app = *options.executor;
  if (app.struct_size < sizeof(app)) {
    throw Error("the executor was not made by lutra_executor_init");
  }
  if (app.run == nullptr || app.threads == 0) {
    throw Error("an executor needs 'run' and at least one thread");
  }
  return std::make_unique<AppExecutor>(app);
}

}  // namespace lutra::c_api
