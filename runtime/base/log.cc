#include "runtime/base/log.h"

#include <mutex>
#include <utility>

#include "runtime/base/printable.h"
#include "runtime/base/text_of.h"

namespace lutra {
namespace {

struct Listener {
  std::mutex mutex;
  LogFunction function;
  LogLevel most = LogLevel::kWarning;
};

// Never destroyed: other threads may run when the program ends.
Listener& TheListener() {
  static Listener& listener = *new Listener;
  return listener;
}

}  // namespace

void SetLog(LogFunction function, LogLevel most) {
  Listener& listener = TheListener();
  const std::lock_guard<std::mutex> lock(listener.mutex);
  listener.function = std::move(function);
  listener.most = most;
}

void Log(LogLevel level, std::string_view subject, std::string_view what) {
  Listener& listener = TheListener();
  const std::lock_guard<std::mutex> lock(listener.mutex);
  if (!listener.function || level > listener.most) return;
  const std::string message = TextOf(Printable(subject), ": ", Printable(what));
  try {
    listener.function(level, message);
  } catch (...) {
    // What is said must not change what is done.
  }
}

}  // namespace lutra
