#ifndef LUTRA_BINDINGS_PYTHON_SRC_LONG_WORK_H_
#define LUTRA_BINDINGS_PYTHON_SRC_LONG_WORK_H_

#include <nanobind/nanobind.h>

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace lutra::python {

// How far some work has come. It says so from any of its threads.
class Progress {
 public:
  virtual ~Progress() = default;
  // Throws where the work is to end.
  virtual void Tell(std::string_view what, size_t done, size_t total) = 0;
};

// Does the work on a thread of its own, while the calling one waits without the
// GIL, looks for signals some times a second and then calls
// `callback`(what, done, total), unless that is None. Python code so runs on
// the caller's thread only. What it raises, and what a signal does, ends the
// work at its next Tell; then, or when the work throws, this throws on. Needs
// the GIL.
void DoLongWork(nanobind::handle callback,
                const std::function<void(Progress&)>& work);

}  // namespace lutra::python

#endif  // LUTRA_BINDINGS_PYTHON_SRC_LONG_WORK_H_
