#ifndef LUTRA_PACKER_PARALLEL_H_
#define LUTRA_PACKER_PARALLEL_H_

#include <pthreadpool.h>

#include <cstddef>
#include <functional>

namespace lutra::packer {

// Calls task(0) ... task(count - 1) on the threads of `pool` (nullptr: this
// thread). If tasks throw, rethrows what the lowest of them threw, so that
// errors do not depend on the number of threads.
void ParallelFor(pthreadpool_t pool, size_t count,
                 const std::function<void(size_t)>& task);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_PARALLEL_H_
