#include "lutra/qat/param_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "lutra/runtime/error.h"
#include "tests/runtime/throws.h"

namespace lutra::qat {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::vector<std::string> kNames = {"fc1.weight", "fc1.bias", "norm"};

TEST(ParamRulesTest, TheFirstMatchCounts) {
  ParamRules rules;
  rules.Add("bias=lr:0");
  rules.Add("fc1=lr:0.5,decay:0.25");
  rules.Add("fc2=decay:1");
  const ParamSettingsMap found = rules.Resolve(kNames);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found.at("fc1.bias").rate, 0.0);
  EXPECT_EQ(found.at("fc1.bias").weight_decay, std::nullopt);
  EXPECT_EQ(found.at("fc1.weight").rate, 0.5);
  EXPECT_EQ(found.at("fc1.weight").weight_decay, 0.25);
  EXPECT_THAT(rules.Unused(kNames), ElementsAre("fc2=decay:1"));
}

TEST(ParamRulesTest, NumbersAreReadToTheirEnd) {
  for (const char* const number :
       {"", "x", "1x", "1 ", "-1", "-0.001", "inf", "nan", "1e999"}) {
    ParamRules rules;
    EXPECT_THAT(
        ErrorMessage([&] { rules.Add(std::string("fc1=lr:") + number); }),
        HasSubstr("rule 'fc1=lr:"))
        << number;
    EXPECT_TRUE(rules.Resolve(kNames).empty());
  }
  ParamRules rules;
  EXPECT_THAT(ErrorMessage([&] { rules.Add("fc1=rate:1"); }),
              HasSubstr("rate"));
}

}  // namespace
}  // namespace lutra::qat
