#ifndef LUTRA_PACKER_WEIGHTS_ROW_TASKS_H_
#define LUTRA_PACKER_WEIGHTS_ROW_TASKS_H_

#include <algorithm>
#include <cstddef>

#include "kernels/base/parallel.h"

namespace lutra::packer {

// How the rows of a matrix fall into tasks: each large enough to outweigh
// handing it out, and the same for any number of threads.
class RowTasks {
 public:
  RowTasks(size_t rows, size_t columns)
      : rows_(rows),
        per_task_(
            std::max<size_t>(1, kWeights / std::max<size_t>(1, columns))) {}

  size_t count() const { return (rows_ + per_task_ - 1) / per_task_; }
  size_t Begin(size_t task) const { return task * per_task_; }
  size_t End(size_t task) const {
    return std::min(rows_, Begin(task) + per_task_);
  }

  // Calls body(task) for each, on the threads of `executor`. What the lowest
  // task throws is rethrown.
  template <typename Body>
  void ForEach(Executor* executor, const Body& body) const {
    ParallelFor(executor, count(), 1, [&](size_t task, size_t) { body(task); });
  }

 private:
  static constexpr size_t kWeights = size_t{1} << 16;

  size_t rows_;
  size_t per_task_;
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_WEIGHTS_ROW_TASKS_H_
