#include "lutra/kernels/variants.h"

#include <gtest/gtest.h>

#include <string>

#include "hwy/targets.h"
#include "kernels/target/cpu_features.h"

namespace lutra::kernels {
namespace {

TEST(VariantsTest, ForcingAVariant) {
  size_t count = 0;
  const Variant* variants = Variants(&count);
  ASSERT_GT(count, 0u);
  const std::string best = ActiveVariant();
  EXPECT_FALSE(ForceVariant("no such variant"));
  EXPECT_EQ(ActiveVariant(), best);
  for (size_t i = 0; i < count; ++i) {
    EXPECT_EQ(ForceVariant(variants[i].name), variants[i].supported);
    if (variants[i].supported) {
      EXPECT_STREQ(ActiveVariant(), variants[i].name);
    }
  }
  EXPECT_TRUE(ForceVariant(nullptr));
  EXPECT_EQ(ActiveVariant(), best);
}

#if HWY_ARCH_X86
TEST(VariantsTest, HighwayFindsTheSameTargets) {
  constexpr int64_t kNone = HWY_EMU128 | HWY_SCALAR;
  EXPECT_EQ(SupportedTargets() | kNone, hwy::SupportedTargets() | kNone);
}
#endif

}  // namespace
}  // namespace lutra::kernels
