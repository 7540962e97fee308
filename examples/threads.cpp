// lutra on a program's own threads, in the two ways there are: threads MODEL
//
//   1. One session that many threads share: quick answers. The program's pool
//      is handed in as an Executor (in C a lutra_executor, or a pthreadpool).
//   2. A session for each thread: many answers. They share the model, whose
//      weights are in memory once.
//
// The outputs are the same to the bit.
#include <lutra/runtime/session.h>

#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <thread>
#include <vector>

namespace {

// Stands for the pool that the program has anyway.
class Pool : public lutra::Executor {
 public:
  explicit Pool(size_t threads) {
    // The thread that calls Run is the last one.
    while (workers_.size() + 1 < threads) {
      workers_.emplace_back([this] { Work(); });
    }
  }
  ~Pool() override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  size_t threads() const noexcept override { return workers_.size() + 1; }

  // lutra calls this several times for each run of a model.
  void Run(size_t tasks, Task task, void* context) noexcept override {
    std::unique_lock<std::mutex> lock(mutex_);
    task_ = task;
    context_ = context;
    left_ = unfinished_ = tasks;
    changed_.notify_all();
    TakeTasks(lock);
    changed_.wait(lock, [this] { return unfinished_ == 0; });
  }

 private:
  void Work() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (!stopping_) {
      TakeTasks(lock);
      changed_.wait(lock, [this] { return stopping_ || left_ > 0; });
    }
  }

  // One by one, so that a slow thread holds up no more than one.
  void TakeTasks(std::unique_lock<std::mutex>& lock) {
    while (left_ > 0) {
      const size_t index = --left_;
      lock.unlock();
      task_(context_, index);
      lock.lock();
      if (--unfinished_ == 0) changed_.notify_all();
    }
  }

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Task task_ = nullptr;
  void* context_ = nullptr;
  size_t left_ = 0;        // tasks that nobody has taken
  size_t unfinished_ = 0;  // and those that are being done
  bool stopping_ = false;
};

using Floats = std::vector<float>;

Floats Run(lutra::Session& session, const Floats& x) {
  Floats y(session.model().outputs()[0].ElementCount());
  const void* const inputs[] = {x.data()};
  float* const outputs[] = {y.data()};
  session.Run(1, inputs, outputs);
  return y;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s MODEL\n", argv[0]);
    return 2;
  }
  try {
    constexpr size_t kThreads = 4;
    const auto model = lutra::Model::Load(argv[1]);
    Floats x(model->inputs()[0].ElementCount());
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i) / 16;

    Pool pool(kThreads);
    lutra::ProgramOptions shared;
    shared.executor = &pool;
    lutra::Session session(model, shared);
    const Floats y = Run(session, x);

    std::vector<Floats> results(kThreads);
    std::vector<std::thread> threads;
    for (Floats& result : results) {
      threads.emplace_back([&model, &x, &result] {
        try {
          lutra::ProgramOptions alone;
          alone.threads = 1;  // this one
          lutra::Session own(model, alone);
          result = Run(own, x);
        } catch (const std::exception& error) {
          std::fprintf(stderr, "error: %s\n", error.what());
        }
      });
    }
    for (std::thread& thread : threads) thread.join();

    for (const float value : y) std::printf("%.9g\n", value);
    for (const Floats& result : results) {
      if (result != y) {
        std::fprintf(stderr, "a thread has other outputs\n");
        return 1;
      }
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  return 0;
}
