#include "lutra/kernels/peak.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/kernels/each_variant.h"

namespace lutra::kernels {
namespace {

// What is counted: every round is as many operations. What Highway falls back
// to has none.
TEST(PeakTest, CountsRounds) {
  ForEachVariant([](const std::string& variant) {
    const bool none = variant == "SCALAR" || variant == "EMU128";
    for (const auto run : {&RunInt8Peak, &RunFloatPeak}) {
      EXPECT_EQ(run(0), 0) << variant;
      EXPECT_EQ(run(1) > 0, !none) << variant;
      EXPECT_EQ(run(1000), 1000 * run(1)) << variant;
    }
  });
}

}  // namespace
}  // namespace lutra::kernels
