// pthreadpool's functions for builds without threads (LUTRA_THREADS=OFF): a
// pool is always nullptr, the calling thread. Those that lutra calls.

#include <pthreadpool.h>

#include <algorithm>

extern "C" {

pthreadpool_t pthreadpool_create(size_t /*threads*/) { return nullptr; }
void pthreadpool_destroy(pthreadpool_t /*pool*/) {}
size_t pthreadpool_get_threads_count(pthreadpool_t /*pool*/) { return 1; }

void pthreadpool_parallelize_1d(pthreadpool_t /*pool*/,
                                pthreadpool_task_1d_t task, void* context,
                                size_t range, uint32_t /*flags*/) {
  for (size_t i = 0; i < range; ++i) task(context, i);
}

void pthreadpool_parallelize_1d_tile_1d(pthreadpool_t /*pool*/,
                                        pthreadpool_task_1d_tile_1d_t task,
                                        void* context, size_t range,
                                        size_t tile, uint32_t /*flags*/) {
  for (size_t i = 0; i < range; i += tile) {
    task(context, i, std::min(tile, range - i));
  }
}

void pthreadpool_parallelize_2d_tile_1d(pthreadpool_t /*pool*/,
                                        pthreadpool_task_2d_tile_1d_t task,
                                        void* context, size_t range_i,
                                        size_t range_j, size_t tile_j,
                                        uint32_t /*flags*/) {
  for (size_t i = 0; i < range_i; ++i) {
    for (size_t j = 0; j < range_j; j += tile_j) {
      task(context, i, j, std::min(tile_j, range_j - j));
    }
  }
}

}  // extern "C"
