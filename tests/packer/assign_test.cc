#include "lutra/packer/assign.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "lutra/kernels/thread_team.h"
#include "lutra/packer/calibrate.h"
#include "lutra/packer/statistics.h"
#include "lutra/packer/weights.h"
#include "lutra/qat/spec.h"
#include "tests/packer/texts.h"
#include "tests/runtime/throws.h"
#include "tests/runtime/tiny_language.h"
#include "tests/temp_dir.h"

namespace lutra::packer {
namespace {

using ::testing::HasSubstr;

class AssignTest : public ::testing::Test {
 protected:
  AssignTest() {
    TinyLanguage{}.Build().Write(dir_ / "m");
    model_ = Model::Load(dir_ / "m");
    Calibrate(model_, texts_, {}, dir_ / "s");
    statistics_ = std::make_unique<Statistics>(Statistics::Open(dir_ / "s"));
    pack_.rules = qat::SchemeRules(qat::QuantScheme{"mse-stretched", 2, 16});
    pack_.rules.AddRule("op:embedding=bits:8,group-size:16");
    pack_.statistics = statistics_.get();
    pack_.rounding.turns = 1;
    for (const int bits : {4, 2, 3}) {
      for (const int64_t group : {16, 32}) {
        options_.candidates.push_back({"mse-stretched", bits, group});
      }
    }
    options_.pack = &pack_;
    options_.samples = &texts_;
    options_.which = SpreadSamples(texts_.Count(), 6);
  }

  AssignReport Assign(double bits) {
    options_.target_bits = bits;
    return AssignSchemes(model_, options_);
  }

  const TempDir dir_;
  const qat::TextSamples texts_ = Texts(0, 24);
  std::shared_ptr<const Model> model_;
  std::unique_ptr<Statistics> statistics_;
  PackOptions pack_;
  AssignOptions options_;
};

TEST_F(AssignTest, SpendsTheBudget) {
  double cost = HUGE_VAL;
  double bits_before = 0;
  for (const double bits : {6.3, 6.6, 7.0, 7.5, 100.0}) {
    SCOPED_TRACE(bits);
    const AssignReport report = Assign(bits);
    EXPECT_LE(report.bits_per_weight, bits);
    EXPECT_GE(report.bits_per_weight, bits_before);
    EXPECT_LE(report.cost, cost);
    cost = report.cost;
    bits_before = report.bits_per_weight;
    // What it says is what packing makes.
    PackOptions pack = pack_;
    pack.rules = RulesOf(report, pack_.rules);
    const PackReport packed = PackModel(*model_, dir_ / "p", pack);
    EXPECT_NEAR(packed.BitsPerWeight(), report.bits_per_weight, 1e-9);
    EXPECT_TRUE(packed.unused_rules.empty());
    ASSERT_EQ(packed.weights.size(), report.weights.size());
    for (size_t i = 0; i < report.weights.size(); ++i) {
      EXPECT_EQ(packed.weights[i].scheme, report.weights[i].scheme);
      EXPECT_EQ(packed.weights[i].bytes, report.weights[i].bytes);
    }
    EXPECT_TRUE(report.weights[0].is_fixed);
    EXPECT_EQ(report.weights[0].scheme.bits, 8);
    // As a specification.
    const auto spec = qat::QuantizationSpec::Parse(SpecOf(report), "spec");
    for (const Assignment& weight : report.weights) {
      const qat::LayerSpec layer = spec.Match(weight.name);
      ASSERT_TRUE(layer.weights.has_value());
      EXPECT_EQ(qat::SchemeOf(*layer.weights), weight.scheme);
    }
    EXPECT_FALSE(spec.Match("other").weights.has_value());
  }
  // With bits to spare every weight has the best; in between they differ.
  for (const Assignment& weight : Assign(100).weights) {
    EXPECT_EQ(weight.scheme.bits, weight.is_fixed ? 8 : 4);
  }
  std::set<int> bits;
  for (const Assignment& weight : Assign(7.0).weights) {
    bits.insert(weight.scheme.bits);
  }
  EXPECT_GT(bits.size(), 2u);
}

// What is left out where bits are short would save something.
TEST_F(AssignTest, MoreBitsCostLess) {
  const AssignReport report = Assign(7.0);
  const AssignReport all = Assign(100);
  size_t short_of = 0;
  for (size_t i = 0; i < report.weights.size(); ++i) {
    const Assignment& taken = report.weights[i];
    const Assignment& best = all.weights[i];
    EXPECT_EQ(taken.divergence, best.divergence);
    if (taken.bytes == best.bytes) continue;
    EXPECT_LT(taken.bytes, best.bytes);
    EXPECT_GT(taken.cost, best.cost);
    ++short_of;
  }
  EXPECT_GT(short_of, 2u);
}

TEST_F(AssignTest, ThreadsChangeNothing) {
  const AssignReport alone = Assign(7.0);
  const auto team = StartThreadTeam(3);
  pack_.executor = team.get();
  const AssignReport together = Assign(7.0);
  for (size_t i = 0; i < alone.weights.size(); ++i) {
    EXPECT_EQ(alone.weights[i].scheme, together.weights[i].scheme);
    EXPECT_EQ(alone.weights[i].divergence, together.weights[i].divergence);
  }
}

TEST_F(AssignTest, Refusals) {
  EXPECT_THAT(ErrorMessage([&] { Assign(2); }),
              HasSubstr("the smallest candidates take"));
  options_.candidates = {{"absmax", 6, 16}};
  EXPECT_THAT(ErrorMessage([&] { Assign(9); }), HasSubstr("tensor 'q'"));
}

}  // namespace
}  // namespace lutra::packer
