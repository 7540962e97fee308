#include "tools/memory.h"

#include <gtest/gtest.h>

#include <vector>

namespace lutra::tools {
namespace {

TEST(MemoryTest, PeakCanBeReset) {
  constexpr size_t kBytes = size_t{64} << 20;
  {
    const std::vector<char> memory(kBytes, 1);
    EXPECT_EQ(memory.back(), 1);
  }
  const uint64_t peak = PeakMemoryBytes();
  if (peak == 0) GTEST_SKIP() << "the system does not say";
  EXPECT_GT(peak, kBytes);
#if defined(__linux__)
  ResetPeakMemory();
  EXPECT_LT(PeakMemoryBytes(), peak - kBytes / 2);
#endif
}

}  // namespace
}  // namespace lutra::tools
