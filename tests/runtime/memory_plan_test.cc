#include "runtime/base/memory_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "runtime/base/aligned_memory.h"
#include "tests/runtime/throws.h"

namespace lutra {
namespace {

TEST(MemoryPlanTest, AChainNeedsTwoBlocks) {
  std::vector<BlockLifetime> blocks;
  for (size_t i = 0; i < 10; ++i) blocks.push_back({640, i, i + 1});
  EXPECT_EQ(PlanMemory(blocks).bytes, 1280u);
}

TEST(MemoryPlanTest, NothingNeedsNothing) {
  EXPECT_EQ(PlanMemory({}).bytes, 0u);
}

TEST(MemoryPlanTest, LiveBlocksNeverOverlap) {
  std::mt19937 rng(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<BlockLifetime> blocks(1 + rng() % 40);
    size_t most_at_once = 0;
    for (BlockLifetime& block : blocks) {
      block.bytes = rng() % 4 == 0 ? 0 : rng() % 1000;
      block.first = rng() % 20;
      block.last = block.first + rng() % 5;
    }
    for (size_t step = 0; step < 25; ++step) {
      size_t live = 0;
      for (const BlockLifetime& block : blocks) {
        if (block.first <= step && step <= block.last) live += block.bytes;
      }
      most_at_once = std::max(most_at_once, live);
    }
    const MemoryPlan plan = PlanMemory(blocks);
    ASSERT_EQ(plan.offsets.size(), blocks.size());
    EXPECT_GE(plan.bytes, most_at_once);
    for (size_t a = 0; a < blocks.size(); ++a) {
      EXPECT_EQ(plan.offsets[a] % kMemoryAlignment, 0u);
      EXPECT_LE(plan.offsets[a] + blocks[a].bytes, plan.bytes);
      for (size_t b = 0; b < a; ++b) {
        if (blocks[a].last < blocks[b].first ||
            blocks[b].last < blocks[a].first) {
          continue;
        }
        EXPECT_TRUE(plan.offsets[a] + blocks[a].bytes <= plan.offsets[b] ||
                    plan.offsets[b] + blocks[b].bytes <= plan.offsets[a])
            << "round " << round << ", blocks " << a << " and " << b;
      }
    }
  }
}

// Tries offset after offset against every block placed so far.
std::vector<size_t> SimplePlan(const std::vector<BlockLifetime>& blocks) {
  std::vector<size_t> order(blocks.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return blocks[a].bytes > blocks[b].bytes;
  });
  std::vector<size_t> offsets(blocks.size());
  for (size_t i = 0; i < order.size(); ++i) {
    const BlockLifetime& block = blocks[order[i]];
    size_t& offset = offsets[order[i]];
    const auto collides = [&](size_t other) {
      const BlockLifetime& b = blocks[other];
      return block.first <= b.last && b.first <= block.last &&
             offset < offsets[other] + b.bytes &&
             offsets[other] < offset + block.bytes;
    };
    while (std::any_of(order.begin(),
                       order.begin() + static_cast<std::ptrdiff_t>(i),
                       collides)) {
      offset += kMemoryAlignment;
    }
  }
  return offsets;
}

TEST(MemoryPlanTest, IsTheSimplePlan) {
  std::mt19937 rng(2);
  for (int round = 0; round < 200; ++round) {
    std::vector<BlockLifetime> blocks(1 + rng() % 60);
    const size_t steps = 1 + rng() % 40;
    for (BlockLifetime& block : blocks) {
      block.bytes = rng() % 8 * (rng() % 200);
      block.first = rng() % steps;
      block.last = block.first + rng() % (rng() % 4 == 0 ? steps : 3);
    }
    EXPECT_EQ(PlanMemory(blocks).offsets, SimplePlan(blocks)) << round;
  }
}

// Processor time, as machines are shared: tens of milliseconds for a chain and
// hundreds for the others. Pair by pair it takes 2 to 9 seconds.
TEST(MemoryPlanTest, ManyBlocksTakeLittleTime) {
  constexpr size_t kBlocks = 65000;
  std::mt19937 rng(3);
  std::vector<BlockLifetime> chain, branches, outputs;
  for (size_t i = 0; i < kBlocks; ++i) {
    chain.push_back({1 + i % 5 * 1000, i, i + 1 + i % 2});
    branches.push_back({1 + rng() % 100000, i, i + rng() % 100});
    outputs.push_back({1 + rng() % 100000, i, kBlocks});
  }
  for (const auto& blocks : {chain, branches, outputs}) {
    const std::clock_t start = std::clock();
    const size_t bytes = PlanMemory(blocks).bytes;
    EXPECT_LT(std::clock() - start, 4 * CLOCKS_PER_SEC) << bytes;
  }
}

TEST(MemoryPlanTest, RefusesSizesThatOverflow) {
  constexpr size_t kHalf = std::numeric_limits<size_t>::max() / 2;
  const std::vector<BlockLifetime> sum = {{kHalf, 0, 0}, {kHalf, 1, 1}};
  EXPECT_THAT(ErrorMessage([&] { PlanMemory(sum); }),
              ::testing::HasSubstr("overflows"));
  const std::vector<BlockLifetime> one = {{2 * kHalf, 0, 0}};
  EXPECT_THAT(ErrorMessage([&] { PlanMemory(one); }),
              ::testing::HasSubstr("overflows"));
}

}  // namespace
}  // namespace lutra
