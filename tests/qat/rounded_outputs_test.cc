#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "lutra/qat/activations.h"
#include "lutra/qat/trainable_model.h"
#include "lutra/qat/training_program.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/input_quantization.h"
#include "tests/qat/random_values.h"
#include "tests/runtime/throws.h"

// Outputs of layers that a specification rounds.

namespace lutra::qat {
namespace {

using ::testing::HasSubstr;

constexpr size_t kRows = 5;

TrainableModel Model() {
  const std::vector<size_t> hidden = {6};
  return MakeMlp(4, hidden, 3, /*seed=*/1);
}

QuantizationSpec Spec(const std::string& outputs) {
  return QuantizationSpec::Parse(
      R"({"outputs": {)" + outputs + R"(}, "exclude": ["fc2"]})", "spec");
}

std::vector<float> Outputs(const Graph& graph, const TensorMap& parameters) {
  TrainingProgram program(graph, parameters, {});
  const std::vector<float> x = RandomValues(kRows * 4, 3);
  const std::vector<const void*> inputs = {x.data()};
  program.Forward(kRows, inputs);
  const Span<const float> output = program.Output(0);
  return {output.begin(), output.end()};
}

// Only fixed ranges are to be found, and only where nodes have none.
TEST(QuantizedInputsTest, WantsRangesOfFixedOnesAlone) {
  TrainableModel model = Model();
  const auto quantize = [&](const std::string& activations) {
    return QuantizeInputs(
        QuantizationSpec::Parse(R"({"activations": )" + activations + "}",
                                "spec"),
        model.graph);
  };
  const auto input = [&] { return InputQuantizationOf(model.graph.nodes[0]); };
  EXPECT_TRUE(quantize(R"({"dtype": "int4"})").empty());
  EXPECT_EQ(input().type, kernels::ActivationType::kInt8Asymmetric);
  EXPECT_EQ(input().bits, 4);
  EXPECT_TRUE(quantize(R"("float32")").empty());
  EXPECT_EQ(input().type, kernels::ActivationType::kFloat32);
  const auto wanted = quantize(R"({"dynamic": false, "symmetric": true})");
  ASSERT_EQ(wanted.size(), 2u);
  EXPECT_EQ(wanted[0].value, "x");
  EXPECT_EQ(input().type, kernels::ActivationType::kInt8Symmetric);
  InputQuantization ranged = input();
  ranged.range_min = -1;
  ranged.range_max = 2;
  SetInputQuantization(ranged, model.graph.nodes[0]);
  EXPECT_EQ(quantize(R"({"dynamic": false})").size(), 1u);
  EXPECT_EQ(input().range_max, 2);
}

TEST(RoundedOutputsTest, LayersBehindSeeRoundedValues) {
  TrainableModel model = Model();
  const auto wanted = OutputsToRound(Spec(R"("dtype": "int4")"), model.graph);
  ASSERT_EQ(wanted.size(), 1u);
  EXPECT_EQ(wanted[0].value, "fc1");
  Graph graph = model.graph;
  RoundOutput(wanted[0], -0.5f, 1.0f, graph);
  // The hidden values themselves, of both graphs.
  Graph exact = model.graph;
  exact.outputs = {"fc1"};
  Graph rounded = graph;
  rounded.outputs = {"fc1"};
  const std::vector<float> x =
      Outputs(Subgraph(exact, {"fc1"}), model.parameters);
  const std::vector<float> y =
      Outputs(Subgraph(rounded, {"fc1"}), model.parameters);
  const float scale = 1.5f / 15.0f;
  for (size_t i = 0; i < x.size(); ++i) {
    // Zero point -3: codes -8 to 7 are -5 to 10 scales.
    const float code =
        std::min(10.0f, std::max(-5.0f, std::nearbyint(x[i] / scale)));
    EXPECT_NEAR(y[i], code * scale, 1e-6f) << x[i];
  }
  EXPECT_NE(Outputs(model.graph, model.parameters),
            Outputs(graph, model.parameters));
  // Twice is once.
  EXPECT_TRUE(OutputsToRound(Spec(R"("dtype": "int4")"), graph).empty());
  const Graph again = ParseGraph(GraphToJson(graph), "graph");
  EXPECT_EQ(GraphToJson(again), GraphToJson(graph));
}

TEST(RoundedOutputsTest, ZeroValuesHaveAScale) {
  TrainableModel model = Model();
  const auto wanted = OutputsToRound(Spec(R"("symmetric": true)"), model.graph);
  RoundOutput(wanted.at(0), 0.0f, 0.0f, model.graph);
  EXPECT_NO_THROW(ParseGraph(GraphToJson(model.graph), "graph"));
}

TEST(RoundedOutputsTest, NamesThatAreTakenAreSaid) {
  TrainableModel model = Model();
  const auto wanted = OutputsToRound(Spec(""), model.graph);
  model.graph.nodes[1].output = "fc1.exact";
  EXPECT_THAT(ErrorMessage(
                  [&] { RoundOutput(wanted.at(0), -1.0f, 1.0f, model.graph); }),
              HasSubstr("fc1.exact"));
}

}  // namespace
}  // namespace lutra::qat
