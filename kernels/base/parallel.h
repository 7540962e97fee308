#ifndef LUTRA_KERNELS_BASE_PARALLEL_H_
#define LUTRA_KERNELS_BASE_PARALLEL_H_

#include <pthreadpool.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>

namespace lutra {

// What the threads of a pool do while they wait for work.
enum class IdleThreads : uint32_t {
  // Spin: the next loop starts at once. For calls of microseconds.
  kSpin = 0,
  // Sleep: equally fast for loops of milliseconds, many times faster when
  // other programs want the cores.
  kYield = PTHREADPOOL_FLAG_YIELD_WORKERS,
};

// Calls body(begin, end) for pieces of `tile` items (the last may be shorter)
// that cover [0, count), on the threads of `pool` (nullptr: this one). Pieces
// depend on the tile and not on the number of threads, so that work which sums
// within a piece gives the same bits on any pool. Allocates nothing.
//
// If pieces throw, rethrows what the lowest of them threw, so that errors do
// not depend on the number of threads; pieces after one that threw may be left
// out.
template <typename Body>
void ParallelFor(pthreadpool_t pool, size_t count, size_t tile,
                 const Body& body, IdleThreads idle = IdleThreads::kSpin) {
  if (count <= tile) {
    if (count != 0) body(size_t{0}, count);
    return;
  }
  struct Loop {
    const Body& body;
    std::mutex mutex;
    std::exception_ptr error;
    std::atomic<size_t> error_at = SIZE_MAX;

    // Exceptions must not cross pthreadpool, which is C.
    void Run(size_t begin, size_t size) noexcept {
      if constexpr (noexcept(body(begin, size))) {
        body(begin, begin + size);
      } else {
        // Where a lower piece has failed, nobody wants the result.
        if (error_at.load(std::memory_order_relaxed) < begin) return;
        try {
          body(begin, begin + size);
        } catch (...) {
          const std::lock_guard<std::mutex> lock(mutex);
          if (begin < error_at) {
            error = std::current_exception();
            error_at = begin;
          }
        }
      }
    }
  };
  Loop loop{body, {}, nullptr};
  pthreadpool_parallelize_1d_tile_1d(
      pool,
      [](void* context, size_t begin, size_t size) {
        static_cast<Loop*>(context)->Run(begin, size);
      },
      &loop, count, tile, static_cast<uint32_t>(idle));
  if (loop.error != nullptr) std::rethrow_exception(loop.error);
}

}  // namespace lutra

#endif  // LUTRA_KERNELS_BASE_PARALLEL_H_
