#include "kernels/base/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "lutra/kernels/thread_team.h"

namespace lutra {
namespace {

class ParallelTest : public ::testing::TestWithParam<size_t> {
 protected:
  ParallelTest() : team_(StartThreadTeam(GetParam())), executor_(team_.get()) {}

  const std::unique_ptr<Executor> team_;
  Executor* const executor_;  // nullptr: the calling thread
};
INSTANTIATE_TEST_SUITE_P(Threads, ParallelTest, ::testing::Values(1, 2, 3));

TEST_P(ParallelTest, PiecesCoverTheRangeAndDependOnTheTile) {
  for (const size_t count : {0u, 1u, 7u, 8u, 9u, 100u}) {
    std::vector<std::atomic<int>> calls(count);
    std::atomic<size_t> pieces = 0;
    ParallelFor(executor_, count, 8, [&](size_t begin, size_t end) {
      EXPECT_EQ(begin % 8, 0u);
      EXPECT_EQ(end, std::min(begin + 8, count));
      ++pieces;
      for (size_t i = begin; i < end; ++i) ++calls[i];
    });
    EXPECT_EQ(pieces, (count + 7) / 8);
    for (const std::atomic<int>& n : calls) EXPECT_EQ(n, 1);
  }
}

TEST_P(ParallelTest, LowestErrorIsReported) {
  std::string message;
  try {
    ParallelFor(executor_, 100, 1, [](size_t i, size_t) {
      if (i >= 40) throw std::runtime_error(std::to_string(i));
    });
  } catch (const std::runtime_error& error) {
    message = error.what();
  }
  EXPECT_EQ(message, "40");
}

TEST(ParallelOnThisThreadTest, PiecesAfterAnErrorAreLeftOut) {
  size_t calls = 0;
  const auto body = [&](size_t begin, size_t) {
    ++calls;
    if (begin == 3) throw std::runtime_error("3");
  };
  EXPECT_THROW(ParallelFor(nullptr, 100, 1, body), std::runtime_error);
  EXPECT_EQ(calls, 4u);
}

}  // namespace
}  // namespace lutra
