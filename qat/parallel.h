#ifndef LUTRA_QAT_PARALLEL_H_
#define LUTRA_QAT_PARALLEL_H_

#include <pthreadpool.h>

#include <cstddef>

#include "runtime/parallel.h"

namespace lutra::qat {

// Calls function(begin, end) for consecutive ranges of `chunk` items (the last
// may be shorter) that cover [0, count), on the threads of `pool` (nullptr:
// this one). The ranges depend on the chunk and not on the number of threads,
// so that work which sums within a range gives the same bits on any pool.
// `function` must not throw.
template <typename Function>
void ParallelFor(pthreadpool_t pool, size_t count, size_t chunk,
                 const Function& function) {
  // Idle workers sleep instead of spinning: equally fast on an idle machine,
  // many times faster when other programs want the cores.
  lutra::ParallelFor(pool, count, chunk, function,
                     PTHREADPOOL_FLAG_YIELD_WORKERS);
}

}  // namespace lutra::qat

#endif  // LUTRA_QAT_PARALLEL_H_
