#ifndef LUTRA_PACKER_PARALLEL_H_
#define LUTRA_PACKER_PARALLEL_H_

#include <pthreadpool.h>

#include <algorithm>
#include <cstddef>
#include <functional>

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

 private:
  static constexpr size_t kWeights = size_t{1} << 16;

  size_t rows_;
  size_t per_task_;
};

// Calls task(0) ... task(count - 1) on the threads of `pool` (nullptr: this
// thread). If tasks throw, rethrows what the lowest of them threw, so that
// errors do not depend on the number of threads; tasks after one that threw may
// be left out.
void ParallelFor(pthreadpool_t pool, size_t count,
                 const std::function<void(size_t)>& task);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_PARALLEL_H_
