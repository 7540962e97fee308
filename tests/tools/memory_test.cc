#include "lutra/eval/memory.h"

#include <gtest/gtest.h>

#if defined(__linux__)
#include <sys/mman.h>

#include <cstring>
#endif

namespace lutra::eval {
namespace {

#if defined(__linux__)
// Pages are taken from the kernel and given back to it, which an allocator
// might put off.
TEST(MemoryTest, PeakCanBeReset) {
  constexpr size_t kBytes = size_t{64} << 20;
  void* const memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  std::memset(memory, 1, kBytes);
  ASSERT_EQ(munmap(memory, kBytes), 0);

  const uint64_t peak = PeakMemoryBytes();
  if (peak == 0) GTEST_SKIP() << "the system does not say";
  EXPECT_GT(peak, kBytes);
  ResetPeakMemory();
  EXPECT_LT(PeakMemoryBytes(), peak - kBytes / 2);
}
#endif

}  // namespace
}  // namespace lutra::eval
