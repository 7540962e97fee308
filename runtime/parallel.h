#ifndef LUTRA_RUNTIME_PARALLEL_H_
#define LUTRA_RUNTIME_PARALLEL_H_

#include <pthreadpool.h>

#include <cstddef>
#include <cstdint>

namespace lutra {

// Calls body(begin, end) for pieces of at most `tile` of [0, count), on the
// threads of `pool` (on the calling thread if it is nullptr or one piece is
// all). `body` must not throw. Allocates nothing. `flags` are pthreadpool's.
template <typename Body>
void ParallelFor(pthreadpool_t pool, size_t count, size_t tile,
                 const Body& body, uint32_t flags = 0) {
  if (count <= tile && flags == 0) {
    if (count != 0) body(size_t{0}, count);
    return;
  }
  pthreadpool_parallelize_1d_tile_1d(
      pool,
      [](void* context, size_t begin, size_t size) {
        (*static_cast<const Body*>(context))(begin, begin + size);
      },
      const_cast<Body*>(&body), count, tile, flags);
}

}  // namespace lutra

#endif  // LUTRA_RUNTIME_PARALLEL_H_
