#ifndef LUTRA_RUNTIME_BASE_MEMORY_PLAN_H_
#define LUTRA_RUNTIME_BASE_MEMORY_PLAN_H_

#include <cstddef>
#include <span>
#include <vector>

namespace lutra {

// A block of memory that is in use from step `first` to step `last`, both
// included.
struct BlockLifetime {
  size_t bytes = 0;
  size_t first = 0;
  size_t last = 0;
};

struct MemoryPlan {
  std::vector<size_t> offsets;  // of each block, in the given order
  size_t bytes = 0;             // of the arena
};

// Places the blocks so that those in use at the same step do not overlap:
// largest first, each at the lowest offset that is free for its lifetime. Takes
// about n log n time. Throws Error if the sum of the sizes overflows.
MemoryPlan PlanMemory(std::span<const BlockLifetime> blocks);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_BASE_MEMORY_PLAN_H_
