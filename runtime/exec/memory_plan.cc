#include "runtime/exec/memory_plan.h"

#include <algorithm>

#include "kernels/base/checked_math.h"
#include "runtime/base/aligned_memory.h"
#include "runtime/base/out_of_memory.h"

namespace lutra {
namespace {

bool Overlap(const BlockLifetime& a, const BlockLifetime& b) {
  return a.first <= b.last && b.first <= a.last;
}

// The sum bounds every offset below.
void CheckSum(std::span<const BlockLifetime> blocks) {
  size_t sum = 0;
  for (const BlockLifetime& block : blocks) {
    const auto padded = CheckedAdd(block.bytes, kMemoryAlignment);
    const auto total = padded ? CheckedAdd(sum, *padded) : std::nullopt;
    if (!total) throw OutOfMemory("a call of this size overflows memory");
    sum = *total;
  }
}

size_t AlignUp(size_t bytes) {
  return (bytes + kMemoryAlignment - 1) / kMemoryAlignment * kMemoryAlignment;
}

}  // namespace

MemoryPlan PlanMemory(std::span<const BlockLifetime> blocks) {
  CheckSum(blocks);
  std::vector<size_t> order(blocks.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return blocks[a].bytes != blocks[b].bytes
               ? blocks[a].bytes > blocks[b].bytes
               : a < b;
  });

  MemoryPlan plan;
  plan.offsets.resize(blocks.size());
  std::vector<size_t> placed;  // by rising offset
  for (const size_t block : order) {
    const size_t bytes = AlignUp(blocks[block].bytes);
    size_t offset = 0;
    for (const size_t other : placed) {
      if (!Overlap(blocks[block], blocks[other])) continue;
      if (plan.offsets[other] >= offset + bytes) break;
      offset =
          std::max(offset, plan.offsets[other] + AlignUp(blocks[other].bytes));
    }
    plan.offsets[block] = offset;
    plan.bytes = std::max(plan.bytes, offset + bytes);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), block,
                                   [&](size_t a, size_t b) {
                                     return plan.offsets[a] < plan.offsets[b];
                                   }),
                  block);
  }
  return plan;
}

}  // namespace lutra
