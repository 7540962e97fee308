#ifndef LUTRA_KERNELS_BASE_PARALLEL_H_
#define LUTRA_KERNELS_BASE_PARALLEL_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>

#include "lutra/kernels/executor.h"

namespace lutra {

// Calls body(begin, end) for pieces of `tile` items (the last may be shorter)
// that cover [0, count), on the threads of `executor` (nullptr: this one).
// Pieces depend on the tile and not on the number of threads, so that work
// which sums within a piece gives the same bits on any executor. Allocates
// nothing.
//
// If pieces throw, rethrows what the lowest of them threw, so that errors do
// not depend on the number of threads; pieces after one that threw may be left
// out.
template <typename Body>
void ParallelFor(Executor* executor, size_t count, size_t tile,
                 const Body& body) {
  if (executor == nullptr || count <= tile) {
    for (size_t begin = 0; begin < count; begin += std::min(tile, count)) {
      body(begin, begin + std::min(tile, count - begin));
    }
    return;
  }
  struct Loop {
    const Body& body;
    size_t count;
    size_t tile;
    std::mutex mutex;
    std::exception_ptr error;
    std::atomic<size_t> error_at = SIZE_MAX;

    // An executor may be a C library: exceptions must not cross it.
    void Run(size_t piece) noexcept {
      const size_t begin = piece * tile;
      const size_t end = begin + std::min(tile, count - begin);
      if constexpr (noexcept(body(begin, end))) {
        body(begin, end);
      } else {
        // Where a lower piece has failed, nobody wants the result.
        if (error_at.load(std::memory_order_relaxed) < begin) return;
        try {
          body(begin, end);
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
  Loop loop{body, count, tile, {}, nullptr};
  executor->Run((count - 1) / tile + 1,
                [](void* context, size_t piece) {
                  static_cast<Loop*>(context)->Run(piece);
                },
                &loop);
  if (loop.error != nullptr) std::rethrow_exception(loop.error);
}

}  // namespace lutra

#endif  // LUTRA_KERNELS_BASE_PARALLEL_H_
