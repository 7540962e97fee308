#include "lutra/qat/group_rules.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "lutra/qat/base_optimizers.h"
#include "lutra/qat/quantizers.h"
#include "lutra/runtime/error.h"
#include "tests/qat/random_values.h"

namespace lutra::qat {
namespace {

class GroupRulesTest : public testing::Test {
 protected:
  std::vector<float> a_ = RandomValues(64, 1);
  std::vector<float> b_ = RandomValues(64, 2);
  std::vector<float> bias_ = RandomValues(4, 3);
  std::vector<Parameter> parameters_ = {
      {"a.weight", {4, 16}, a_.data(), nullptr, true},
      {"b.weight", {4, 16}, b_.data(), nullptr, true},
      {"tied.weight", {4, 16}, a_.data(), nullptr, true},
      {"a.bias", {4}, bias_.data(), nullptr, true}};

  static GroupRule Rule(int bits, const std::string& prefix) {
    GroupRule rule;
    rule.bits = bits;
    rule.filter = [prefix](const Parameter& p) {
      return p.name.starts_with(prefix) && p.shape.size() == 2;
    };
    return rule;
  }
};

TEST_F(GroupRulesTest, OneGroupPerRuleThenTheRest) {
  GroupRule four = Rule(4, "b");
  four.group_size = 8;
  const RuledGroups got = BuildGroups(
      parameters_, {Rule(2, "a"), Rule(3, "nothing"), four}, 0.5, 0.25);
  ASSERT_EQ(got.groups.size(), 3u);
  EXPECT_EQ(got.groups[0].parameters[0].name, "a.weight");
  EXPECT_EQ(got.groups[0].quant_bits, 2);
  EXPECT_EQ(got.groups[0].weight_decay, 0.25);
  EXPECT_EQ(got.groups[1].quant_block_size, 8);
  EXPECT_EQ(got.groups[2].parameters.size(), 1u);  // tied weights once
  EXPECT_EQ(got.groups[2].parameters[0].name, "a.bias");
  EXPECT_EQ(got.groups[2].weight_decay, 0.0);
  EXPECT_FALSE(got.groups[2].quant_bits.has_value());
  for (const ParamGroup& group : got.groups) EXPECT_EQ(group.lr, 0.5);
  ASSERT_EQ(got.group_quantizers.size(), 2u);
  EXPECT_EQ(got.group_quantizers.at(0)->name(), "stretched");
  EXPECT_EQ(got.group_quantizers.at(1)->name(), "intx");
}

// With grids of the weights of that step, in every step.
TEST_F(GroupRulesTest, OptimizerQuantizesFromTheFirstStepOn) {
  const std::vector<float> gradient(64, 1.0f);
  parameters_[0].grad = gradient.data();
  const auto optimizer =
      MakeQuantOptimizer(BuildGroups(parameters_, {Rule(2, "a")}, 0.5, 0.0),
                         [](std::vector<ParamGroup> groups) {
                           return MakeSgd(std::move(groups), {});
                         });
  std::vector<float> latent = a_;
  std::vector<float> expected(64);
  std::vector<float> grid(16);
  for (int step = 0; step < 3; ++step) {
    for (float& w : latent) w -= 0.5f;
    MakeStretchedQuantizer()->Quantize({latent.data(), 4, 16, true}, 2,
                                       expected.data(), grid.data());
    optimizer->Step(nullptr);
    EXPECT_EQ(a_, expected) << step;
  }
}

TEST_F(GroupRulesTest, AmbiguousAndImpossibleRulesAreRefused) {
  EXPECT_THROW(
      BuildGroups(parameters_, {Rule(2, "a"), Rule(4, "a.w")}, 0.1, 0.0),
      Error);
  EXPECT_THROW(BuildGroups(parameters_, {Rule(1, "a")}, 0.1, 0.0), Error);
}

}  // namespace
}  // namespace lutra::qat
