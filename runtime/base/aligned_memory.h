#ifndef LUTRA_RUNTIME_BASE_ALIGNED_MEMORY_H_
#define LUTRA_RUNTIME_BASE_ALIGNED_MEMORY_H_

#include <cstddef>
#include <memory>
#include <string>

#include "kernels/base/aligned_alloc.h"
#include "runtime/base/out_of_memory.h"

namespace lutra {

// A cache line, and what kernels and XNNPACK ask for.
inline constexpr size_t kMemoryAlignment = 64;

// Up to the next multiple of it; `bytes` are far from overflowing.
constexpr size_t RoundUpToAlignment(size_t bytes) {
  return (bytes + kMemoryAlignment - 1) / kMemoryAlignment * kMemoryAlignment;
}

struct FreeMemory {
  void operator()(std::byte* memory) const { kernels::AlignedFree(memory); }
};
using AlignedMemory = std::unique_ptr<std::byte, FreeMemory>;

// `bytes`, not cleared, at a multiple of `alignment`, a power of two, to which
// their number is rounded up; nullptr for 0 bytes. Throws OutOfMemory, "no
// memory for <what> of ...".
inline AlignedMemory AllocateAligned(size_t bytes, const char* what,
                                     size_t alignment = kMemoryAlignment) {
  if (bytes == 0) return nullptr;
  // It wants a multiple of the alignment; 0 if that overflows.
  const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  AlignedMemory memory(
      rounded < bytes
          ? nullptr
          : static_cast<std::byte*>(kernels::AlignedAlloc(alignment, rounded)));
  if (!memory) {
    throw OutOfMemory(std::string("no memory for ") + what + " of " +
                      std::to_string(bytes) + " bytes");
  }
  return memory;
}

}  // namespace lutra

#endif  // LUTRA_RUNTIME_BASE_ALIGNED_MEMORY_H_
