#include "tools/verbs/busy_threads.h"

#include <string>
#include <system_error>

#include "lutra/runtime/error.h"

namespace lutra::tools {

BusyThreads::BusyThreads(size_t count) {
  try {
    for (size_t i = 0; i < count; ++i) {
      threads_.emplace_back([this] {
        while (!stopping_.load(std::memory_order_relaxed)) {
        }
      });
    }
  } catch (const std::system_error& error) {
    Stop();
    throw Error("--beside: cannot start " + std::to_string(count) +
                " threads: " + error.code().message());
  } catch (...) {  // there is no memory for it
    Stop();
    throw;
  }
}

BusyThreads::~BusyThreads() { Stop(); }

void BusyThreads::Stop() {
  stopping_ = true;
  for (std::thread& thread : threads_) thread.join();
}

}  // namespace lutra::tools
