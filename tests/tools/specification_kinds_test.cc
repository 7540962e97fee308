// Specifications of every kind that the field has, each from the file to the
// packed model that a session runs.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/runtime/raw_file.h"
#include "tests/tools/command.h"
#include "tests/tools/train_text.h"

namespace lutra::tools {
namespace {

using ::testing::HasSubstr;

struct Kind {
  const char* name;
  const char* spec;
  const char* plan;  // what --dry-run says of it
};

const Kind kKinds[] = {
    {"Int8", R"({"weights": {"dtype": "int8"}})", "8-bit intx"},
    {"Int4InGroups", R"({"weights": {"dtype": "int4", "group_size": 16}})",
     "4-bit intx, groups of 16"},
    {"Uint4", R"({"weights": {"dtype": "uint4", "symmetric": false}})",
     "4-bit intx-asymmetric"},
    {"Int2PerChannel", R"({"weights": {"dtype": "int2"}})",
     "2-bit stretched, one scale per row"},
    {"Ternary", R"({"weights": {"dtype": "ternary"}})", "ternary"},
    {"Fp8E4M3", R"({"weights": {"dtype": "fp8e4m3"}})", "8-bit fp8e4m3"},
    {"Fp8E5M2", R"({"weights": {"dtype": "fp8e5m2", "group_size": 16}})",
     "8-bit fp8e5m2"},
    {"Fp6E2M3", R"({"weights": {"dtype": "fp6e2m3"}})", "6-bit fp6e2m3"},
    {"Fp6E3M2", R"({"weights": {"dtype": "fp6e3m2"}})", "6-bit fp6e3m2"},
    {"Fp4", R"({"weights": {"dtype": "fp4", "group_size": 16}})", "4-bit fp4"},
    {"MxFp4", R"({"weights": {"dtype": "fp4", "observer": "mx"}})",
     "4-bit mxfp4, groups of 32, power-of-two scales"},
    {"MxFp6", R"({"weights": {"dtype": "fp6e3m2", "observer": "mx"}})",
     "6-bit mxfp6e3m2, groups of 32, power-of-two scales"},
    {"MxFp8", R"({"weights": {"dtype": "fp8e4m3", "observer": "mx"}})",
     "8-bit mxfp8e4m3, groups of 32, power-of-two scales"},
    {"MxInt8", R"({"weights": {"dtype": "int8", "observer": "mx"}})",
     "8-bit mxint8, groups of 32, power-of-two scales"},
    {"ObserverMse",
     R"({"weights": {"dtype": "int4", "observer": "mse", "group_size": 16}})",
     "4-bit mse, groups of 16"},
    {"ScalesOf16Bits",
     R"({"weights": {"dtype": "int4", "scale_type": "bfloat16"}})",
     "bfloat16 scales"},
    {"PartsOfRows",
     R"({"weights": {"dtype": "int4", "group_size": "1/2"},
         "exclude": ["down"]})",
     "2 groups per row"},
    {"DynamicActivationsPerToken", R"({"preset": "int8da-int4w-g16"})", "int8"},
    {"SymmetricActivations", R"({"preset": "int8ds-int4w"})", "int8-symmetric"},
    {"ActivationsPerGroup",
     R"({"weights": {"dtype": "int4", "group_size": 16},
         "activations": {"dtype": "int8", "symmetric": true,
                         "group_size": 16}})",
     "int8-per-group, groups of 16"},
    {"StaticMinMax", R"({"preset": "int8sa-int4w"})", "int8, fixed range"},
    {"StaticPercentile",
     R"({"preset": "int8ss-int4w",
         "activations": {"observer": "percentile", "percentile": 99.9}})",
     "int8-symmetric, fixed range"},
    {"StaticMse", R"({"preset": "int8sa-int4w",
                      "activations": {"observer": "mse"}})",
     "int8, fixed range"},
    {"StaticMeansOfBatches", R"({"preset": "int8sa-int4w",
                                 "activations": {"observer": "mean-max"}})",
     "int8, fixed range"},
    {"FewActivationBits", R"({"preset": "int4da-int4w"})", "int8, 4 bits"},
    {"WeightOnly", R"({"preset": "float32-int4w-g16"})", "float32"},
    {"InputsOutputsAndBiases",
     R"({"weights": {"dtype": "int4"}, "activations": {"dtype": "int8"},
         "outputs": {"dtype": "int8"}, "bias": "float32"})",
     "rounded, fixed range"},
    {"RulesByNameAndKind",
     R"({"preset": "stretched2-g16",
         "rules": [{"name": "^q$", "weights": {"dtype": "int4"}},
                   {"op": "embedding", "weights": {"dtype": "int8",
                                                   "quantizer": "intx"},
                    "activations": "float32"}],
         "exclude": ["^v$"]})",
     "4-bit stretched"},
};

class SpecificationKindsTest : public TrainTextTest,
                               public ::testing::WithParamInterface<Kind> {};

TEST_P(SpecificationKindsTest, GoesThroughToASession) {
  const Kind& kind = GetParam();
  const std::string spec = Path("spec.json");
  const std::string packed = Path("packed.safetensors");
  WriteBytes(spec, kind.spec);
  EXPECT_THAT(OutputOf(Train({"--spec", spec, "--dry-run"})),
              HasSubstr(kind.plan));
  OutputOf(Train({"--spec", spec, "--prox", "hard", "--pack", packed}));
  const std::string trained = Path("out.safetensors");
  OutputOf({"verify", packed, "--against", trained});
  // The session takes what the file says.
  const double nats = NatsPerToken(packed);
  EXPECT_NEAR(nats, NatsPerToken(trained), 0.02 * nats);
  EXPECT_LT(nats, NatsPerToken(model_));
}

// Groups that begin anywhere have no table to be trained on.
TEST_F(TrainTextTest, Uint8InGroupsIsRefusedBeforeTheFirstStep) {
  const std::string spec = Path("spec.json");
  WriteBytes(spec, R"({"weights": {"dtype": "uint8", "symmetric": false,
                                   "group_size": 16}})");
  EXPECT_THAT(RunLutra(Train({"--spec", spec})).err,
              HasSubstr("its levels are no int8 values"));
}

INSTANTIATE_TEST_SUITE_P(Field, SpecificationKindsTest,
                         ::testing::ValuesIn(kKinds), [](const auto& test) {
                           return std::string(test.param.name);
                         });

}  // namespace
}  // namespace lutra::tools
