#include "lutra/qat/spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "lutra/qat/activations.h"
#include "lutra/qat/quantizers.h"
#include "lutra/runtime/error.h"
#include "tests/runtime/raw_file.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra::qat {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::string_view kSpecFile = "some.json";

// Uses every key and every kind of rule.
constexpr std::string_view kExample = R"({
  "preset": "int8da-stretched2-g32",
  "activations": {"observer": "percentile", "percentile": 99.5,
                  "dynamic": false},
  "rules": [
    {"name": "fc3", "weights": {"dtype": "int4", "quantizer": "intx",
                                "granularity": "channel"}},
    {"op": "embedding", "weights": {"dtype": "int3", "group_size": 64},
     "activations": "float32"},
    {"op": "linear", "name": "^head", "weights": "float32"}
  ],
  "exclude": ["norm", "op:embedding"]
})";

std::string Failure(std::string_view json) {
  return ErrorMessage([&] { QuantizationSpec::Parse(json, kSpecFile); });
}

TEST(SpecTest, FirstMatchWins) {
  const auto spec = QuantizationSpec::Parse(kExample, kSpecFile);
  const auto weights = [&](const RuleTarget& target) {
    const LayerSpec layer = spec.Match(target);
    return layer.weights ? std::optional(SchemeOf(*layer.weights))
                         : std::nullopt;
  };
  EXPECT_EQ(weights({"fc1", OpType::kLinear}),
            (QuantScheme{"stretched", 2, 32}));
  EXPECT_EQ(weights({"fc3", OpType::kLinear}), (QuantScheme{"intx", 4, 0}));
  EXPECT_EQ(weights({"head.fc3", OpType::kLinear}),
            (QuantScheme{"intx", 4, 0}));
  EXPECT_EQ(weights({"head", OpType::kLinear}), std::nullopt);
  // Exclusions come first.
  EXPECT_EQ(weights({"table", OpType::kEmbedding}), std::nullopt);
  EXPECT_EQ(weights({"fc3.norm", OpType::kLinear}), std::nullopt);

  const LayerSpec fc1 = spec.Match({"fc1", OpType::kLinear});
  ASSERT_TRUE(fc1.activations);
  EXPECT_EQ(fc1.activations->observer, RangeMethod::kPercentile);
  EXPECT_EQ(fc1.activations->percentile, 99.5);
  EXPECT_FALSE(fc1.activations->dynamic);
  EXPECT_EQ(fc1.activations->granularity, Granularity::kTensor);
  EXPECT_EQ(spec.Match("norm"), LayerSpec());
}

TEST(SpecTest, SchemeRulesAgree) {
  const auto spec = QuantizationSpec::Parse(kExample, kSpecFile);
  SchemeRules rules(spec.DefaultScheme());
  spec.AppendTo(rules);
  for (const char* name : {"fc1", "fc3", "head", "x.norm"}) {
    for (const OpType op : {OpType::kLinear, OpType::kEmbedding}) {
      const LayerSpec layer = spec.Match({name, op});
      const auto scheme = rules.Match({name, op});
      ASSERT_EQ(scheme.has_value(), layer.weights.has_value()) << name;
      if (scheme) {
        EXPECT_EQ(*scheme, SchemeOf(*layer.weights)) << name;
      }
    }
  }
  const std::vector<RuleTarget> targets = {{"fc1", OpType::kLinear}};
  EXPECT_THAT(rules.Unused(targets),
              ElementsAre("norm", "op:embedding", "fc3", "op:embedding",
                          "op:linear ^head"));
}

TEST(SpecTest, WhatIsWrittenIsReadBack) {
  const auto spec = QuantizationSpec::Parse(kExample, kSpecFile);
  const std::string json = spec.ToJson();
  const auto again = QuantizationSpec::Parse(json, kSpecFile);
  EXPECT_EQ(again.ToJson(), json);
  for (const char* name : {"fc1", "fc3", "head", "norm"}) {
    EXPECT_EQ(again.Match({name, OpType::kLinear}),
              spec.Match({name, OpType::kLinear}));
  }
}

// Each way of nodes to take their input, from words.
TEST(SpecTest, ActivationsOfPresets) {
  using kernels::ActivationType;
  const auto input = [](const std::string& preset) {
    return InputOf(*PresetLayer(preset + "-int4w").activations);
  };
  EXPECT_EQ(input("int8da").type, ActivationType::kInt8Asymmetric);
  EXPECT_EQ(input("int8ss").type, ActivationType::kInt8Symmetric);
  EXPECT_EQ(input("float32").type, ActivationType::kFloat32);
  EXPECT_EQ(input("int4ds").bits, 4);
  EXPECT_FALSE(PresetLayer("int5sa-int4w").activations->dynamic);
  EXPECT_THROW(PresetLayer("int1da-int4w"), Error);
}

TEST(SpecTest, EmptyMeansFloat) {
  const auto spec = QuantizationSpec::Parse("{}", kSpecFile);
  EXPECT_EQ(spec.Match("w"), LayerSpec());
  EXPECT_EQ(spec.DefaultScheme(), std::nullopt);
}

TEST(SpecTest, QuantizerFollowsFromTheType) {
  const auto scheme = [](const std::string& weights) {
    const auto spec =
        QuantizationSpec::Parse(R"({"weights": )" + weights + "}", kSpecFile);
    return spec.DefaultScheme()->quantizer;
  };
  EXPECT_EQ(scheme(R"({"dtype": "ternary"})"), "ternary");
  EXPECT_EQ(scheme(R"({"dtype": "int2"})"), "stretched");
  EXPECT_EQ(scheme(R"({"dtype": "int3"})"), "stretched");
  EXPECT_EQ(scheme(R"({"dtype": "int4"})"), "intx");
  EXPECT_EQ(scheme(R"({"dtype": "int4", "symmetric": false})"),
            "intx-asymmetric");
}

TEST(SpecTest, Presets) {
  const LayerSpec layer = PresetLayer("int8da-int4w-g32");
  ASSERT_TRUE(layer.weights && layer.activations);
  EXPECT_EQ(SchemeOf(*layer.weights), (QuantScheme{"intx", 4, 32}));
  EXPECT_EQ(layer.activations->bits, 8);
  EXPECT_FALSE(layer.activations->symmetric);
  EXPECT_EQ(layer.activations->granularity, Granularity::kToken);
  // Fake quantization of these activations is the one torchao has.
  const FakeQuantOptions ours = FakeQuantOptionsOf(*layer.activations);
  const FakeQuantOptions theirs = Int8TokenActivations();
  EXPECT_EQ(ours.bits, theirs.bits);
  EXPECT_EQ(ours.is_signed, theirs.is_signed);
  EXPECT_EQ(ours.symmetric, theirs.symmetric);
  EXPECT_EQ(ours.group_size, theirs.group_size);
  EXPECT_EQ(ours.ranges, theirs.ranges);

  EXPECT_EQ(SchemeOf(*PresetLayer("int8ds-ternary").weights),
            (QuantScheme{"ternary", 0, 0}));
  EXPECT_EQ(PresetLayer("lsbq2-g1").weights->group_size, 1);
  EXPECT_EQ(PresetLayer("lsbq2-g128").activations, std::nullopt);
  for (const std::string_view name : ExamplePresets()) {
    EXPECT_TRUE(PresetLayer(name).weights) << name;
  }
  const auto failure = [](std::string_view name) {
    return ErrorMessage([&] { PresetLayer(name); });
  };
  EXPECT_THAT(failure("int8da-int4"),
              AllOf(HasSubstr("preset 'int8da-int4'"),
                    HasSubstr("did you mean 'int4w'?")));
  EXPECT_THAT(failure("int8da-strechted2-g32"), HasSubstr("'stretched2'?"));
  EXPECT_THAT(failure("int8da-int4w-32"), HasSubstr("'g32'?"));
  for (const char* name : {"", "int8da", "int4w-g0", "int4w-g32-g64", "int9w",
                           "int4w-", "-int4w", "int4w-g-1"}) {
    EXPECT_THROW(PresetLayer(name), Error) << name;
  }
}

TEST(SpecTest, ObserversAndFakeQuantizers) {
  TensorSpec activations;
  activations.bits = 4;
  activations.is_signed = activations.symmetric = activations.dynamic = false;
  activations.granularity = Granularity::kTensor;
  activations.observer = RangeMethod::kMse;
  activations.scale_type = ScaleType::kPowerOfTwo;
  activations.rounding = Rounding::kHalfAway;
  const ObserverOptions observer = ObserverOptionsOf(activations);
  EXPECT_EQ(observer.method, RangeMethod::kMse);
  EXPECT_EQ(observer.group_size, kWholeTensor);
  EXPECT_EQ(observer.scheme.bounds.lo, 0);
  EXPECT_EQ(observer.scheme.bounds.hi, 15);
  EXPECT_EQ(observer.scheme.mapping, AffineMapping::kAsymmetric);
  EXPECT_EQ(observer.scheme.scale_type, ScaleType::kPowerOfTwo);
  EXPECT_EQ(observer.scheme.rounding, Rounding::kHalfAway);
  const FakeQuantOptions fake = FakeQuantOptionsOf(activations);
  EXPECT_EQ(fake.ranges, FakeQuantOptions::Ranges::kStatic);
  EXPECT_EQ(fake.group_size, kWholeTensor);
  FakeQuantizer quantizer(fake);  // does not throw
  TensorSpec ternary;
  ternary.bits = 0;
  EXPECT_THROW(FakeQuantOptionsOf(ternary), Error);
  EXPECT_THROW(ObserverOptionsOf(ternary), Error);
}

TEST(SpecTest, MistakesAreExplained) {
  EXPECT_THAT(Failure("["), StartsWith("some.json: "));
  EXPECT_THAT(Failure("[]"), HasSubstr("not an object"));
  EXPECT_THAT(Failure(R"({"wieghts": {}})"),
              AllOf(StartsWith("some.json: "),
                    HasSubstr("unknown key 'wieghts'; did you mean "
                              "'weights'?")));
  EXPECT_THAT(Failure(R"({"weights": {"dtype": "itn4"}})"),
              AllOf(HasSubstr("'weights'"), HasSubstr("'dtype'"),
                    HasSubstr("did you mean 'int4'?")));
  EXPECT_THAT(Failure(R"({"weights": {"granularty": "row"}})"),
              HasSubstr("'granularity'?"));
  EXPECT_THAT(Failure(R"({"weights": {"granularity": "chanel"}})"),
              HasSubstr("'channel'?"));
  EXPECT_THAT(Failure(R"({"weights": {"granularity": "group"}})"),
              HasSubstr("'group_size' is missing"));
  EXPECT_THAT(
      Failure(R"({"weights": {"granularity": "channel", "group_size": 32}})"),
      HasSubstr("\"group\" only"));
  EXPECT_THAT(Failure(R"({"weights": {"group_size": 0}})"),
              HasSubstr("out of range"));
  EXPECT_THAT(Failure(R"({"weights": {"group_size": 18446744073709551615}})"),
              HasSubstr("out of range"));
  EXPECT_THAT(Failure(R"({"weights": {"group_size": 1.5}})"),
              HasSubstr("whole number"));
  EXPECT_THAT(Failure(R"({"weights": {"symmetric": 1}})"),
              HasSubstr("true or false"));
  EXPECT_THAT(Failure(R"({"weights": {"quantizer": "lsqb"}})"),
              HasSubstr("'lsbq'?"));
  EXPECT_THAT(Failure(R"({"weights": "float16"})"), HasSubstr("float32"));
  EXPECT_THAT(Failure(R"({"weights": {"dtype": "int9"}})"),
              HasSubstr("unknown dtype 'int9'"));
  EXPECT_THAT(Failure(R"({"activations": {"quantizer": "lsbq"}})"),
              HasSubstr("weights only"));
  EXPECT_THAT(Failure(R"({"activations": {"dtype": "ternary"}})"),
              HasSubstr("not ternary"));
  EXPECT_THAT(Failure(R"({"activations": {"percentile": 0}})"),
              HasSubstr("above 0"));
  const std::pair<const char*, const char*> kRefused[] = {
      {R"("dtype": "int1")", "2 to 8 bits"},
      {R"("dtype": "uint8", "symmetric": true)", "not symmetric"},
      {R"("scale_type": "power-of-two")", "scales of float32"},
      {R"("rounding": "floor")", "half-even"},
      {R"("observer": "mse")", "min-max"},
      {R"("granularity": "tensor")", "fixed range"},
      {R"("dynamic": false, "granularity": "token")", "granularity tensor"},
      {R"("group_size": 32)", "are symmetric"},
      {R"("group_size": 32, "symmetric": true, "dynamic": false)",
       "no fixed range"}};
  for (const auto& [activations, cause] : kRefused) {
    EXPECT_THAT(
        Failure(std::string(R"({"activations": {)") + activations + "}}"),
        AllOf(HasSubstr("'activations'"), HasSubstr(cause)));
  }
  EXPECT_THAT(Failure(R"({"rules": [{"weights": {}}]})"),
              AllOf(HasSubstr("rule 0"), HasSubstr("'name' or an 'op'")));
  EXPECT_THAT(Failure(R"({"rules": [{"op": "liner"}]})"),
              HasSubstr("did you mean 'linear'?"));
  EXPECT_THAT(Failure(R"({"rules": [{"name": "("}]})"),
              HasSubstr("regular expression"));
  EXPECT_THAT(Failure(R"({"rules": {}})"), HasSubstr("not an array"));
  EXPECT_THAT(Failure(R"({"exclude": [1]})"), HasSubstr("not a string"));
  EXPECT_THAT(Failure(R"({"exclude": ["op:embeding"]})"),
              HasSubstr("'embedding'?"));
  EXPECT_THAT(Failure(R"({"preset": "int8da-int4"})"), HasSubstr("'int4w'?"));
}

// What no quantizer does is refused rather than ignored.
TEST(SpecTest, WeightsThatNoQuantizerMakes) {
  const auto failure = [](const std::string& option) {
    return Failure(R"({"weights": {"dtype": "int4", )" + option + "}}");
  };
  EXPECT_THAT(failure(R"("granularity": "tensor")"), HasSubstr("channel"));
  EXPECT_THAT(failure(R"("dynamic": false)"), HasSubstr("dynamic"));
  EXPECT_THAT(failure(R"("observer": "percentile")"), HasSubstr("min-max"));
  EXPECT_THAT(failure(R"("observer": "mse", "quantizer": "lsbq")"),
              HasSubstr("chooses its ranges itself"));
  EXPECT_THAT(failure(R"("rounding": "floor")"), HasSubstr("half-even"));
  EXPECT_THAT(Failure(R"({"weights": {"dtype": "uint4"}})"),
              HasSubstr("signed"));
  EXPECT_THAT(failure(R"("quantizer": "intx-asymmetric")"),
              HasSubstr("is not symmetric"));
  EXPECT_THAT(failure(R"("symmetric": false, "quantizer": "intx")"),
              HasSubstr("is symmetric"));
}

TEST(SpecTest, UnsignedPowersOfTwoAndBestScales) {
  const auto scheme = [](const std::string& options) {
    return QuantizationSpec::Parse(
               R"({"weights": {"group_size": 32, )" + options + "}}", kSpecFile)
        .DefaultScheme();
  };
  EXPECT_EQ(scheme(R"("dtype": "uint4", "symmetric": false)"),
            (QuantScheme{"intx-asymmetric", 4, 32}));
  EXPECT_EQ(
      scheme(R"("dtype": "uint4", "symmetric": false, "observer": "mse")"),
      (QuantScheme{"mse-asymmetric", 4, 32}));
  EXPECT_EQ(scheme(R"("dtype": "int4", "observer": "mse")"),
            (QuantScheme{"mse", 4, 32}));
  EXPECT_EQ(scheme(R"("dtype": "int2", "observer": "mse")"),
            (QuantScheme{"mse-stretched", 2, 32}));
  EXPECT_EQ(scheme(R"("dtype": "int4", "quantizer": "fp4",
                      "scale_type": "power-of-two")"),
            (QuantScheme{"fp4", 4, 32, ScaleType::kPowerOfTwo}));
}

// What rules and options say, a specification says, too.
TEST(SpecTest, LearnedTablesAndScaleTypes) {
  const QuantizationSpec spec = QuantizationSpec::Parse(
      R"({"weights": {"dtype": "int2", "group_size": 64, "quantizer": "kmeans",
                      "scale_type": "bfloat16"}})",
      kSpecFile);
  EXPECT_EQ(spec.DefaultScheme(),
            (QuantScheme{"kmeans", 2, 64, ScaleType::kBFloat16}));
  EXPECT_EQ(QuantizationSpec::Parse(spec.ToJson(), kSpecFile).DefaultScheme(),
            spec.DefaultScheme());
}

TEST(SpecTest, Files) {
  const TempDir dir;
  WriteBytes(dir / "spec.json", kExample);
  EXPECT_EQ(QuantizationSpec::Load(dir / "spec.json").ToJson(),
            QuantizationSpec::Parse(kExample, kSpecFile).ToJson());
  const auto failure = [](const std::filesystem::path& path) {
    return ErrorMessage([&] { QuantizationSpec::Load(path); });
  };
  EXPECT_THAT(failure(dir / "none.json"), HasSubstr("none.json"));
  EXPECT_THAT(failure(dir.path()), HasSubstr(dir.path().string()));
  WriteBytes(dir / "huge.json", std::string(size_t{2} << 20, ' '));
  EXPECT_THAT(failure(dir / "huge.json"), HasSubstr("too large"));
}

// The quantizers a specification calls symmetric are those with a table.
TEST(SpecTest, EveryQuantizerIsSymmetricOrNot) {
  for (const std::string_view name : QuantizerNames()) {
    TensorSpec weights;
    weights.quantizer = name;
    weights.bits = name == "ternary"        ? 0
                   : name == "lsbq-optimal" ? 2
                                            : FloatBits(name).value_or(4);
    TensorSpec other = weights;
    other.symmetric = false;
    const auto works = [](const TensorSpec& spec) {
      return ErrorMessage([&] {
               SchemeOf(spec);
               throw Error("fine");
             }) == "fine";
    };
    EXPECT_NE(works(weights), works(other)) << name;
  }
}

}  // namespace
}  // namespace lutra::qat
