#include "lutra/eval/limits.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "lutra/kernels/thread_team.h"
#include "lutra/kernels/variants.h"
#include "tools/cli/options.h"

namespace lutra::eval {
namespace {

struct alignas(64) Line {
  uint8_t bytes[64] = {};
};

// `rate` says at what rate it read `bytes`, without what does not divide into
// four streams of cache lines for each thread. It cannot have taken longer than
// the call.
void ExpectAtLeast(size_t bytes, size_t threads,
                   const std::function<double()>& rate) {
  const auto start = std::chrono::steady_clock::now();
  const double per_second = rate();
  const std::chrono::duration<double> seconds =
      std::chrono::steady_clock::now() - start;
  const size_t read = bytes - (4 + 1) * 64 * threads;
  EXPECT_GE(per_second * seconds.count(), static_cast<double>(read));
  EXPECT_LT(per_second, 1e14);
}

// Under the address sanitizer also: nothing outside of the memory is read.
void ExpectRates(size_t bytes) {
  const std::vector<Line> lines(bytes / sizeof(Line));
  for (const size_t threads : {size_t{1}, size_t{2}, size_t{3}}) {
    const std::unique_ptr<Executor> executor = StartThreadTeam(threads);
    UncachedMemory memory(reinterpret_cast<const uint8_t*>(lines.data()),
                          lines.size() * sizeof(Line));
    for (int piece = 0; piece < 3; ++piece) {
      SCOPED_TRACE(std::to_string(threads) + " threads");
      ExpectAtLeast(std::min(bytes, UncachedMemory::kPieceBytes), threads,
                    [&] { return memory.ReadRate(executor.get()); });
    }
    ExpectAtLeast(bytes, threads,
                  [&] { return memory.ReadAllRate(executor.get()); });
  }
}

TEST(LimitsTest, PiecesBeginAgainAtTheEnd) {
  ExpectRates(2 * UncachedMemory::kPieceBytes + 4096);
}

TEST(LimitsTest, LessThanAPiece) { ExpectRates(100 * 1024); }

// Whatever its size: what caches hold is read no slower than what they do not,
// and less than a line for each thread is a line.
TEST(LimitsTest, AsManyBytesAsACallReads) {
  const std::unique_ptr<Executor> team = StartThreadTeam(2);
  for (Executor* executor : {static_cast<Executor*>(nullptr), team.get()}) {
    for (const size_t bytes : {0u, 100u, 20000u, 3u << 20}) {
      const double rate = ReadBandwidth(executor, bytes);
      EXPECT_GT(rate, 1e7) << bytes;
      EXPECT_LT(rate, 1e14) << bytes;
    }
  }
  EXPECT_GT(ReadBandwidth(nullptr, 16384), 0.7 * ReadBandwidth(nullptr));
}

TEST(LimitsTest, PeaksOfEveryVariant) {
  const std::string before = kernels::ActiveVariant();
  size_t count = 0;
  size_t tried = 0;
  const kernels::Variant* const variants = kernels::Variants(&count);
  const std::unique_ptr<Executor> executor = StartThreadTeam(2);
  for (size_t i = 0; i < count; ++i) {
    if (!kernels::ForceVariant(variants[i].name)) continue;
    SCOPED_TRACE(variants[i].name);
    ++tried;
    // What Highway falls back to: one of them, as the compiler is.
    const std::string name = variants[i].name;
    const bool none = name == "SCALAR" || name == "EMU128";
    for (Executor* p : {static_cast<Executor*>(nullptr), executor.get()}) {
      EXPECT_EQ(Int8Rate(p) > 0, !none);
      EXPECT_EQ(FloatRate(p) > 0, !none);
    }
  }
  EXPECT_GT(tried, 0u);
  ASSERT_TRUE(kernels::ForceVariant(before.c_str()));
}

}  // namespace
}  // namespace lutra::eval
