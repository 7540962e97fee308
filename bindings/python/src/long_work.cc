#include "bindings/python/src/long_work.h"

#include <nanobind/stl/string.h>

#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "bindings/python/src/errors.h"
#include "lutra/runtime/error.h"

namespace nb = nanobind;

namespace lutra::python {
namespace {

constexpr auto kInterval = std::chrono::milliseconds(50);

struct Status {
  std::string what;
  size_t done = 0;
  size_t total = 0;
};

class SharedProgress : public Progress {
 public:
  void Tell(std::string_view what, size_t done, size_t total) override {
    const std::scoped_lock lock(mutex_);
    if (stopping_) throw Cancelled("the work was ended");
    status_ = Status{std::string(what), done, total};
  }

  void Stop() {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  void Finish(std::exception_ptr thrown) {
    const std::scoped_lock lock(mutex_);
    thrown_ = std::move(thrown);
    finished_ = true;
    changed_.notify_one();
  }

  // Whether the work has finished, after some time if it has not.
  bool Wait() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kInterval, [this] { return finished_; });
  }
  // What was told since the last call.
  std::optional<Status> Take() {
    const std::scoped_lock lock(mutex_);
    return std::exchange(status_, std::nullopt);
  }
  // Once it has finished.
  void Rethrow() const {
    if (thrown_ != nullptr) std::rethrow_exception(thrown_);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Status> status_;
  bool stopping_ = false;
  bool finished_ = false;
  std::exception_ptr thrown_;
};

}  // namespace

void DoLongWork(nb::handle callback,
                const std::function<void(Progress&)>& work) {
  SharedProgress progress;
  std::thread thread([&] {
    try {
      work(progress);
      progress.Finish(nullptr);
    } catch (...) {
      progress.Finish(std::current_exception());
    }
  });
  try {
    for (bool finished = false; !finished;) {
      {
        const nb::gil_scoped_release release;
        finished = progress.Wait();
      }
      CheckSignals();
      const std::optional<Status> status = progress.Take();
      if (status && !callback.is_none()) {
        callback(status->what, status->done, status->total);
      }
    }
  } catch (...) {
    progress.Stop();
    const nb::gil_scoped_release release;
    thread.join();
    throw;
  }
  thread.join();
  progress.Rethrow();
}

}  // namespace lutra::python
