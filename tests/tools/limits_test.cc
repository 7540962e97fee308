#include "lutra/eval/limits.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "lutra/kernels/variants.h"
#include "tools/cli/options.h"

namespace lutra::eval {
namespace {

struct alignas(64) Line {
  uint8_t bytes[64] = {};
};

// Under the address sanitizer also: nothing outside of the memory is read.
void ExpectRates(size_t bytes) {
  const std::vector<Line> lines(bytes / sizeof(Line));
  for (const size_t threads : {size_t{1}, size_t{2}, size_t{3}}) {
    const tools::ThreadPool pool = tools::MakeThreadPool(threads);
    UncachedMemory memory(reinterpret_cast<const uint8_t*>(lines.data()),
                          lines.size() * sizeof(Line));
    for (int piece = 0; piece < 3; ++piece) {
      const double rate = memory.ReadRate(pool.get());
      EXPECT_GT(rate, 0) << threads << " threads, piece " << piece;
      EXPECT_TRUE(std::isfinite(rate));
    }
    EXPECT_GT(memory.ReadAllRate(pool.get()), 0);
  }
}

TEST(LimitsTest, PiecesBeginAgainAtTheEnd) {
  ExpectRates(2 * UncachedMemory::kPieceBytes + 4096);
}

TEST(LimitsTest, LessThanAPiece) { ExpectRates(100 * 1024); }

TEST(LimitsTest, PeaksOfEveryVariant) {
  const std::string before = kernels::ActiveVariant();
  size_t count = 0;
  const kernels::Variant* const variants = kernels::Variants(&count);
  const tools::ThreadPool pool = tools::MakeThreadPool(2);
  for (size_t i = 0; i < count; ++i) {
    if (!kernels::ForceVariant(variants[i].name)) continue;
    SCOPED_TRACE(variants[i].name);
    for (const pthreadpool_t p : {pthreadpool_t{nullptr}, pool.get()}) {
      const bool none = variants[i].name == std::string("SCALAR");
      EXPECT_EQ(Int8Rate(p) > 0, !none);
      EXPECT_EQ(FloatRate(p) > 0, !none);
    }
  }
  ASSERT_TRUE(kernels::ForceVariant(before.c_str()));
}

}  // namespace
}  // namespace lutra::eval
