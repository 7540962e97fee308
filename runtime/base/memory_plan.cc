#include "runtime/base/memory_plan.h"

#include <algorithm>
#include <bit>

#include "kernels/base/checked_math.h"
#include "runtime/base/aligned_memory.h"
#include "runtime/base/out_of_memory.h"

namespace lutra {
namespace {

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

// A set of bytes: ranges that do not touch, by rising offset.
class ByteSet {
 public:
  bool empty() const { return ranges_.empty(); }

  void Add(size_t begin, size_t end) {
    const auto first =
        ranges_.begin() + (EndsAtOrAfter(begin) - ranges_.begin());
    auto last = first;
    for (; last != ranges_.end() && last->begin <= end; ++last) {
      begin = std::min(begin, last->begin);
      end = std::max(end, last->end);
    }
    if (first == last) {
      ranges_.insert(first, {begin, end});
    } else {
      *first = {begin, end};
      ranges_.erase(first + 1, last);
    }
  }

  // The lowest offset from `offset` on at which `bytes` are not in the set.
  size_t Free(size_t offset, size_t bytes) const {
    for (auto range = EndsAtOrAfter(offset);
         range != ranges_.end() && range->begin < offset + bytes; ++range) {
      offset = std::max(offset, range->end);
    }
    return offset;
  }

 private:
  struct Range {
    size_t begin, end;
  };

  std::vector<Range>::const_iterator EndsAtOrAfter(size_t offset) const {
    return std::partition_point(
        ranges_.begin(), ranges_.end(),
        [offset](const Range& range) { return range.end < offset; });
  }

  std::vector<Range> ranges_;
};

// Which bytes are taken at which step: a binary tree whose nodes stand for
// spans of steps, so that a lifetime of any length is a few nodes.
class Arena {
 public:
  explicit Arena(size_t steps)
      : leaves_(std::bit_ceil(steps)), spans_(2 * leaves_) {}

  // Takes `bytes` for a lifetime at the lowest offset that is free.
  size_t Place(const BlockLifetime& life, size_t bytes) {
    taken_.clear();
    const auto add = [this](const ByteSet& taken) {
      if (!taken.empty()) taken_.push_back(&taken);
    };
    ForSpans(
        life, [&](const Span& inside) { add(inside.some_step); },
        [&](const Span& around) { add(around.all_steps); });
    size_t offset = 0;
    for (bool agreed = false; !agreed;) {
      const size_t before = offset;
      for (const ByteSet* taken : taken_) offset = taken->Free(offset, bytes);
      agreed = offset == before;
    }
    ForSpans(
        life,
        [&](Span& inside) {
          inside.all_steps.Add(offset, offset + bytes);
          inside.some_step.Add(offset, offset + bytes);
        },
        [&](Span& around) { around.some_step.Add(offset, offset + bytes); });
    return offset;
  }

 private:
  struct Span {
    ByteSet all_steps;  // taken by lifetimes that cover the span
    ByteSet some_step;  // ... and by those that cover a part of it
  };

  // Calls inside(span) for the largest spans that make up the lifetime, and
  // around(span) for those that contain one of these.
  template <typename Inside, typename Around>
  void ForSpans(const BlockLifetime& life, const Inside& inside,
                const Around& around) {
    ForSpans(life, inside, around, /*node=*/1, /*first=*/0, leaves_ - 1);
  }
  template <typename Inside, typename Around>
  void ForSpans(const BlockLifetime& life, const Inside& inside,
                const Around& around, size_t node, size_t first, size_t last) {
    if (last < life.first || life.last < first) return;
    if (life.first <= first && last <= life.last) return inside(spans_[node]);
    around(spans_[node]);
    const size_t middle = first + (last - first) / 2;
    ForSpans(life, inside, around, 2 * node, first, middle);
    ForSpans(life, inside, around, 2 * node + 1, middle + 1, last);
  }

  size_t leaves_;
  std::vector<Span> spans_;  // the root is 1, below i are 2 i and 2 i + 1
  std::vector<const ByteSet*> taken_;  // those that bear on a block
};

}  // namespace

MemoryPlan PlanMemory(std::span<const BlockLifetime> blocks) {
  CheckSum(blocks);
  std::vector<size_t> order(blocks.size());
  size_t steps = 1;
  for (size_t i = 0; i < order.size(); ++i) {
    order[i] = i;
    steps = std::max(steps, blocks[i].last + 1);
  }
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    if (blocks[a].bytes != blocks[b].bytes) {
      return blocks[a].bytes > blocks[b].bytes;
    }
    return a < b;
  });

  MemoryPlan plan;
  plan.offsets.resize(blocks.size());
  Arena arena(steps);
  for (const size_t block : order) {
    const size_t bytes = RoundUpToAlignment(blocks[block].bytes);
    if (bytes == 0) break;  // so are the others
    plan.offsets[block] = arena.Place(blocks[block], bytes);
    plan.bytes = std::max(plan.bytes, plan.offsets[block] + bytes);
  }
  return plan;
}

}  // namespace lutra
