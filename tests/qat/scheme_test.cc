#include "lutra/qat/scheme.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "lutra/runtime/error.h"
#include "tests/runtime/throws.h"

namespace lutra::qat {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::string_view kFile = "some.safetensors";

std::string ParseFailure(std::string_view json) {
  return ErrorMessage([&] { ParseSchemes(json, kFile); });
}

TEST(SchemesTest, WhatIsWrittenIsReadBack) {
  const SchemeMap schemes = {{"a.weight", {"stretched", 2, 64}},
                             {"b \"quoted\"", {"uniform", 4, 0}},
                             {"c", {"kmeans", 3, 32, ScaleType::kFloat16}}};
  EXPECT_EQ(ParseSchemes(SchemesToJson(schemes), kFile), schemes);
  EXPECT_EQ(ParseSchemes(SchemesToJson({}), kFile), SchemeMap{});
}

TEST(SchemesTest, DamageIsNamed) {
  EXPECT_THAT(ParseFailure("{"), StartsWith("some.safetensors: "));
  EXPECT_THAT(ParseFailure("[]"), HasSubstr("not a JSON object"));
  EXPECT_THAT(ParseFailure(R"({"w": 3})"),
              AllOf(HasSubstr("'w'"), HasSubstr("not an object")));
  EXPECT_THAT(ParseFailure(R"({"w": {"quantizer": "streched", "bits": 2,
                             "group_size": 0}})"),
              AllOf(HasSubstr("some.safetensors"), HasSubstr("'w'"),
                    HasSubstr("unknown quantizer 'streched'"),
                    HasSubstr("did you mean 'stretched'?")));
  EXPECT_THAT(ParseFailure(R"({"w": {"quantizer": "stretched", "bit": 2,
                                     "group_size": 0}})"),
              AllOf(HasSubstr("unknown key 'bit'"), HasSubstr("'bits'?")));
  EXPECT_THAT(ParseFailure(R"({"w": {"quantizer": "stretched", "bits": 2}})"),
              HasSubstr("'group_size' is missing"));
  EXPECT_THAT(ParseFailure(R"({"w": {"quantizer": 2, "bits": 2,
                                     "group_size": 0}})"),
              HasSubstr("'quantizer' is not a string"));
  EXPECT_THAT(ParseFailure(R"({"w": {"quantizer": "stretched", "bits": 2.5,
                                     "group_size": 0}})"),
              HasSubstr("'bits' is not a whole number"));
  EXPECT_THAT(ParseFailure(R"({"w": {"quantizer": "stretched", "bits": 2,
                                     "group_size": -16}})"),
              HasSubstr("'group_size' is out of range"));
  EXPECT_THAT(ParseFailure(R"({"w": {"quantizer": "stretched",
                                     "bits": 18446744073709551615,
                                     "group_size": 0}})"),
              HasSubstr("'bits' is out of range"));
}

TEST(SchemesTest, BitsThatTheQuantizerDoesNotKnow) {
  EXPECT_THAT(ParseFailure(R"({"w": {"quantizer": "stretched", "bits": 99,
                                     "group_size": 0}})"),
              HasSubstr("99"));
}

TEST(GroupSizeTest, NumbersAndRow) {
  EXPECT_EQ(ParseGroupSize("row"), 0);
  EXPECT_EQ(ParseGroupSize("128"), 128);
  EXPECT_EQ(GroupSizeToString(0), "row");
  EXPECT_EQ(GroupSizeToString(32), "32");
  for (const char* bad :
       {"", "0", "-16", "16x", " 16", "rows", "99999999999999999999"}) {
    EXPECT_THROW(ParseGroupSize(bad), Error) << bad;
  }
}

TEST(GroupSizeTest, PartsOfARow) {
  QuantScheme scheme{"stretched", 2, 64};
  SetGroupSize("1/4", scheme);
  EXPECT_EQ(ToString(scheme), "2-bit stretched, 4 groups per row");
  EXPECT_EQ(ForRow(scheme, 256), (QuantScheme{"stretched", 2, 64}));
  EXPECT_EQ(ForRow(scheme, 257), (QuantScheme{"stretched", 2, 65}));
  SetGroupSize("1/1", scheme);
  EXPECT_EQ(ForRow(scheme, 256), (QuantScheme{"stretched", 2, 0}));
  SetGroupSize("32", scheme);
  EXPECT_EQ(ForRow(scheme, 256), (QuantScheme{"stretched", 2, 32}));
  for (const char* bad : {"1/", "1/0", "1/-4", "2/4", "1/4x", "1/ 4"}) {
    EXPECT_THROW(SetGroupSize(bad, scheme), Error) << bad;
  }
}

TEST(SchemeTest, Words) {
  EXPECT_EQ(ToString({"stretched", 2, 64}), "2-bit stretched, groups of 64");
  EXPECT_EQ(ToString({"uniform", 4, 0}), "4-bit uniform, one scale per row");
}

TEST(SchemeRulesTest, FirstMatchDecidesAndExclusionsComeFirst) {
  SchemeRules rules({"stretched", 2, 64});
  rules.AddRule("^fc1=bits:4,group-size:32");
  rules.AddRule("fc=quantizer:uniform");
  rules.AddExclusion("head");
  EXPECT_EQ(rules.Match("fc1.weight"), (QuantScheme{"stretched", 4, 32}));
  EXPECT_EQ(rules.Match("fc2.weight"), (QuantScheme{"uniform", 2, 64}));
  EXPECT_EQ(rules.Match("x.fc1"), (QuantScheme{"uniform", 2, 64}));
  EXPECT_EQ(rules.Match("other"), (QuantScheme{"stretched", 2, 64}));
  EXPECT_EQ(rules.Match("fc1.head"), std::nullopt);
  EXPECT_TRUE(rules.HasRule("fc2.weight"));
  EXPECT_FALSE(rules.HasRule("other"));
}

TEST(SchemeRulesTest, LearnedTablesAndScaleTypes) {
  SchemeRules rules;
  rules.AddRule("a=quantizer:kmeans-row,bits:4,scale-type:bfloat16");
  EXPECT_EQ(rules.Match("a"),
            (QuantScheme{"kmeans-row", 4, 0, ScaleType::kBFloat16}));
  EXPECT_EQ(ToString(*rules.Match("a")),
            "4-bit kmeans-row, one scale per row, bfloat16 scales");
  // Stretched grids of more than 4 bits have no table.
  rules.AddRule("c4=bits:4");
  rules.AddRule("c5=bits:5");
  rules.AddRule("c8=bits:8");
  EXPECT_EQ(rules.Match("c4"), (QuantScheme{"stretched", 4, 0}));
  EXPECT_EQ(rules.Match("c5"), (QuantScheme{"absmax", 5, 0}));
  EXPECT_EQ(rules.Match("c8"), (QuantScheme{"absmax", 8, 0}));
  EXPECT_THAT(ErrorMessage([&] { rules.AddRule("b=scale-type:float15"); }),
              HasSubstr("did you mean 'float16'?"));
  EXPECT_THAT(ErrorMessage([&] { rules.AddRule("b=quantizer:kmean"); }),
              HasSubstr("did you mean 'kmeans'?"));
  EXPECT_THAT(ErrorMessage([&] { rules.AddRule("b=quantizer:kmeans,bits:5"); }),
              HasSubstr("does not support 5 bits (only 0 to 4)"));
  EXPECT_THAT(ErrorMessage([&] { rules.AddRule("b=quantizer:absmax,bits:1"); }),
              HasSubstr("quantizer 'absmax' does not support 1 bits"));
}

TEST(SchemeRulesTest, ExpressionMayHoldAnEqualsSign) {
  SchemeRules rules;
  rules.AddRule("^(?=fc)=group-size:row,bits:3");
  EXPECT_EQ(rules.Match("fc1"), (QuantScheme{"stretched", 3, 0}));
  EXPECT_FALSE(rules.HasRule("conv"));
}

std::string RuleFailure(const std::string& rule) {
  return ErrorMessage([&] {
    SchemeRules rules;
    rules.AddRule(rule);
  });
}

TEST(SchemeRulesTest, MistakesAreExplained) {
  EXPECT_THAT(RuleFailure("fc1"), HasSubstr("expected REGEX=key:value"));
  EXPECT_THAT(RuleFailure("=bits:2"), HasSubstr("expected REGEX=key:value"));
  EXPECT_THAT(RuleFailure("fc1=bist:4"),
              AllOf(HasSubstr("rule 'fc1=bist:4'"),
                    HasSubstr("unknown key 'bist'; did you mean 'bits'?")));
  EXPECT_THAT(RuleFailure("fc1=group_size:4"), HasSubstr("'group-size'?"));
  EXPECT_THAT(RuleFailure("fc1=bits"), HasSubstr("'bits' has no value"));
  EXPECT_THAT(RuleFailure("fc1=bits:two"), HasSubstr("whole number"));
  EXPECT_THAT(RuleFailure("fc1=bits:99"), HasSubstr("99"));
  EXPECT_THAT(RuleFailure("fc1=group-size:0"), HasSubstr("'0'"));
  EXPECT_THAT(RuleFailure("fc1=quantizer:unifrom"), HasSubstr("'uniform'?"));
  EXPECT_THAT(RuleFailure("fc1=bits:4,"), HasSubstr("unknown key ''"));
  EXPECT_THAT(RuleFailure("fc(1=bits:4"), HasSubstr("regular expression"));
  EXPECT_THAT(ErrorMessage([] {
                SchemeRules rules;
                rules.AddExclusion("[a");
              }),
              HasSubstr("regular expression"));
  EXPECT_THROW(SchemeRules(QuantScheme{"stretched", 99, 0}), Error);
  EXPECT_THROW(SchemeRules(QuantScheme{"", 2, 0}), Error);
}

TEST(SchemeRulesTest, FarWordsGetNoSuggestion) {
  EXPECT_THAT(
      RuleFailure("fc1=xyzzy:4"),
      AllOf(HasSubstr("(known: bits, group-size, quantizer, scale-type)"),
            ::testing::Not(HasSubstr("did you mean"))));
}

// A name in a hostile file must not exhaust the stack.
TEST(SchemeRulesTest, EndlessNameIsAnError) {
  SchemeRules rules;
  rules.AddRule("(a|b)*c=bits:4");
  const auto match = [&rules](size_t length) {
    return ErrorMessage([&] { rules.Match(std::string(length, 'a')); });
  };
  EXPECT_EQ(rules.Match(std::string(1024, 'a')), QuantScheme());
  EXPECT_THAT(match(1025), HasSubstr("too long for rules (1025 characters)"));
  EXPECT_THAT(match(1 << 20), HasSubstr("too long for rules"));
}

TEST(SchemeRulesTest, UnusedRulesAreFound) {
  SchemeRules rules;
  rules.AddRule("fc1=bits:4");
  rules.AddRule("conv=bits:4");
  rules.AddExclusion("fc2");
  rules.AddExclusion("haed");
  const std::vector<RuleTarget> tensors = {"fc1.weight", "fc2.weight"};
  EXPECT_THAT(rules.Unused(tensors), ElementsAre("haed", "conv=bits:4"));
}

}  // namespace
}  // namespace lutra::qat
