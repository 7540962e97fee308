#ifndef LUTRA_KERNELS_BASE_ALIGNED_ALLOC_H_
#define LUTRA_KERNELS_BASE_ALIGNED_ALLOC_H_

#include <cstddef>
#include <cstdlib>

#if defined(_WIN32)
#include <malloc.h>
#endif

namespace lutra::kernels {

// std::aligned_alloc and std::free, where Windows has others: memory at a
// multiple of `alignment`, a power of two that divides `size`; nullptr if there
// is none.
inline void* AlignedAlloc(size_t alignment, size_t size) noexcept {
#if defined(_WIN32)
  return ::_aligned_malloc(size, alignment);
#else
  return std::aligned_alloc(alignment, size);
#endif
}

inline void AlignedFree(void* memory) noexcept {
#if defined(_WIN32)
  ::_aligned_free(memory);
#else
  std::free(memory);
#endif
}

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_BASE_ALIGNED_ALLOC_H_
