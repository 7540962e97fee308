// Valid containers that are no valid models: wrong metadata, graphs, shapes and
// packed tensors.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "kernels/format/layout.h"
#include "lutra/runtime/model.h"
#include "tests/runtime/bad_model.h"
#include "tests/runtime/throws.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

using ::testing::HasSubstr;

void Embedding(ModelBuilder& builder, std::vector<int64_t> shape,
               ValueType type) {
  builder.Input("ids", std::move(shape), type)
      .Add(OpType::kEmbedding, {"ids"}, "e", "fc2.weight")
      .Output("e");
}

std::function<void(ModelBuilder&)> Gather(std::vector<float> places) {
  return [=](ModelBuilder& builder) {
    builder.Add(OpType::kGather, {"x"}, "z", "places")
        .Floats("places", {std::ssize(places)}, places);
  };
}

// With routes of that many elements.
std::function<void(ModelBuilder&)> ExpertLinear(int64_t routes,
                                                double experts) {
  return [=](ModelBuilder& builder) {
    builder.Input("r", {routes})
        .Add(OpType::kExpertLinear, {"h1", "r"}, "z", "fc2.weight")
        .Set("experts", experts);
  };
}

// Overwrites a field of the blob's header.
template <typename T>
std::function<void(RawFile&)> Blob(size_t offset, T value) {
  return [=](RawFile& raw) {
    std::memcpy(raw.data.data() + offset, &value, sizeof(value));
  };
}

std::function<void(ModelBuilder&)> Graph(std::string json) {
  return [=](ModelBuilder& builder) { builder.Metadata(kGraphKey, json); };
}

std::vector<BadModel> ModelCases() {
  return {
      {.name = "NoVersion",
       .expected = {"not a lutra model", "'lutra.version' is missing"},
       .build = [](ModelBuilder& b) { b.NoMetadata(kVersionKey); }},
      {.name = "NewerVersion",
       .expected = {"model version '2' is not supported", "reads version 1"},
       .build = [](ModelBuilder& b) { b.Metadata(kVersionKey, "2"); }},
      {.name = "VersionNotANumber",
       .expected = {"model version '1\\x0a' is not supported"},
       .build = [](ModelBuilder& b) { b.Metadata(kVersionKey, "1\n"); }},
      {.name = "ContextLengthZero",
       .expected = {"'lutra.context_length' is '0'", "not a number from 1"},
       .build = [](ModelBuilder& b) { b.Metadata(kContextLengthKey, "0"); }},
      {.name = "ContextLengthAbsurd",
       .expected = {"'lutra.context_length' is '99999999999999999999'"},
       .build =
           [](ModelBuilder& b) {
             b.Metadata(kContextLengthKey, "99999999999999999999");
           }},
      {.name = "ContextLengthText",
       .expected = {"'lutra.context_length' is '12k'"},
       .build = [](ModelBuilder& b) { b.Metadata(kContextLengthKey, "12k"); }},
      {.name = "NormWeightDoesNotFit",
       .expected = {"tensor 'fc1.bias'", "is F32 [24]", "must be F32 [32]"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kRmsNorm, {"x"}, "z", "fc1.bias").Set("eps", 0.0);
           }},
      {.name = "NormWeightIsPacked",
       .expected = {"tensor 'fc1.weight'", "is U8", "must be F32 [32]"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kLayerNorm, {"x"}, "z", "fc1.weight")
                 .Set("eps", 0.0);
           }},
      {.name = "RopeHeadsDoNotDivide",
       .expected = {"rope node 'z'", "does not divide into heads of 5"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kRope, {"x"}, "z", "fc2.bias")
                 .Set("head_dim", 5.0)
                 .Set("pairing", std::string("half"));
           }},
      {.name = "RopeManyFrequencies",
       .expected = {"tensor 'fc2.bias'", "at most half of head_dim 8"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kRope, {"x"}, "z", "fc2.bias")
                 .Set("head_dim", 8.0)
                 .Set("pairing", std::string("half"));
           }},
      {.name = "AttentionHeadsCannotShare",
       .expected = {"attention node 'z'", "4 heads cannot share 3"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kAttention, {"x", "x", "x"}, "z")
                 .Set("heads", 4.0)
                 .Set("kv_heads", 3.0);
           }},
      {.name = "AttentionShapesDoNotFit",
       .expected = {"attention node 'z'", "[32], [32] and [8] do not fit"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kAttention, {"x", "x", "y"}, "z")
                 .Set("heads", 4.0)
                 .Set("kv_heads", 4.0);
           }},
      {.name = "AttentionAbsurdHeads",
       .expected = {"attention node 'z'", "do not fit 1048576 heads"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kAttention, {"x", "x", "x"}, "z")
                 .Set("heads", 1048576.0)
                 .Set("kv_heads", 1048576.0);
           }},
      {.name = "AttentionSinksOfOtherHeads",
       .expected = {"tensor 'fc2.bias'", "sinks are F32 [4], one of each head"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kAttention, {"x", "x", "x"}, "z", "fc2.bias")
                 .Set("heads", 4.0)
                 .Set("kv_heads", 4.0);
           }},
      {.name = "ConvolutionOfAVector",
       .expected = {"conv2d node 'z'", "[32] must have 3 dimensions"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kConv2d, {"x"}, "z", "fc2.weight")
                 .Set("kernel", std::vector<int64_t>{1, 1});
           }},
      {.name = "WindowTooLarge",
       .expected = {"conv2d node 'z'", "a window of 1048573 is larger"},
       .build =
           [](ModelBuilder& b) {
             b.Input("image", {4, 4, 6})
                 .Add(OpType::kConv2d, {"image"}, "z", "fc2.weight")
                 .Set("kernel", std::vector<int64_t>{2, 2})
                 .Set("dilation", std::vector<int64_t>{1048572, 1});
           }},
      {.name = "WindowDoesNotFitTheWeight",
       .expected = {"conv2d node 'z'", "a window of 3 by 2 over 6 channels",
                    "of shape [8, 24]"},
       .build =
           [](ModelBuilder& b) {
             b.Input("image", {4, 4, 6})
                 .Add(OpType::kConv2d, {"image"}, "z", "fc2.weight")
                 .Set("kernel", std::vector<int64_t>{3, 2});
           }},
      {.name = "HugeOutput",
       .expected = {"value 'z' of shape", "is not possible"},
       .build =
           [](ModelBuilder& b) {
             b.Input("image", {4, 4, 1})
                 .Add(OpType::kMaxPool2d, {"image"}, "p")
                 .Set("kernel", std::vector<int64_t>{1, 1})
                 .Add(OpType::kConv2d, {"p"}, "z", "wide")
                 .Set("kernel", std::vector<int64_t>{1, 1})
                 .Set("padding",
                      std::vector<int64_t>{1048576, 1048576, 1048576, 1048576})
                 .Floats("wide", {1, 1}, RandomFloats(1, 1));
           }},
      {.name = "PoolingOfPadding",
       .expected = {"max_pool2d node 'z'", "smaller than the kernel"},
       .build =
           [](ModelBuilder& b) {
             b.Input("image", {4, 4, 6})
                 .Add(OpType::kMaxPool2d, {"image"}, "z")
                 .Set("kernel", std::vector<int64_t>{2, 2})
                 .Set("padding", std::vector<int64_t>{2, 0, 0, 0});
           }},
      {.name = "DepthwiseWeightDoesNotFit",
       .expected = {"tensor 'fc2.weight'", "must be F32 [4, 6]"},
       .build =
           [](ModelBuilder& b) {
             b.Input("image", {4, 4, 6})
                 .Add(OpType::kDepthwiseConv2d, {"image"}, "z", "fc2.weight")
                 .Set("kernel", std::vector<int64_t>{2, 2});
           }},
      {.name = "ReshapeChangesTheSize",
       .expected = {"reshape node 'z'", "[5, 6] has other elements"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kReshape, {"x"}, "z")
                 .Set("shape", std::vector<int64_t>{5, 6});
           }},
      {.name = "LstmShapesDoNotFit",
       .expected = {"lstm_cell node 'z'", "are not [4H] and [4H, H]"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kLstmCell, {"x"}, "z", "fc2.weight")
                 .Set("gates", std::string("ifgo"));
           }},
      {.name = "GruShapesDoNotFit",
       .expected = {"gru_cell node 'z'", "are not [3H] and [3H, H]"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kGruCell, {"x"}, "z", "fc2.weight")
                 .Set("gates", std::string("zrn"))
                 .Set("reset", std::string("after"));
           }},
      {.name = "SliceBehindTheEnd",
       .expected = {"slice node 'z'", "2 elements from 31 on are not all in"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kSlice, {"x"}, "z")
                 .Set("begin", 31.0)
                 .Set("length", 2.0);
           }},
      {.name = "SliceWhoseEndOverflows",
       .expected = {"slice node 'z'", "2147483648 elements from 2147483648 on"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kSlice, {"x"}, "z")
                 .Set("begin", 2147483648.0)
                 .Set("length", 2147483648.0);
           }},
      {.name = "GatherBehindTheEnd",
       .expected = {"gather node 'z'", "place 1 is not an element of 'x'"},
       .build = Gather({31.0f, 32.0f})},
      {.name = "GatherInFront",
       .expected = {"gather node 'z'", "place 0 is not an element of 'x'"},
       .build = Gather({-1.0f})},
      {.name = "GatherBetween",
       .expected = {"gather node 'z'", "place 0 is not an element of 'x'"},
       .build = Gather({0.5f})},
      {.name = "GatherOfNaN",
       .expected = {"gather node 'z'", "place 0 is not an element of 'x'"},
       .build = Gather({std::nanf("")})},
      {.name = "ClampToNothing",
       .expected = {"clamp node 'z'", "'low' is above its 'high'"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kClamp, {"x"}, "z").Set("low", 1.0).Set("high", 0.5);
           }},
      {.name = "FakeQuantizeToNothing",
       .expected = {"fake_quantize node 'z'", "'low' is above its 'high'"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kFakeQuantize, {"x"}, "z")
                 .Set("scale", 1.0)
                 .Set("low", 1.0)
                 .Set("high", 0.0);
           }},
      {.name = "ConcatOfOtherRows",
       .expected = {"concat node 'z'",
                    "[32] and [4, 8] differ in more than the last dimension"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kReshape, {"x"}, "rows")
                 .Set("shape", std::vector<int64_t>{4, 8})
                 .Add(OpType::kConcat, {"x", "rows"}, "z");
           }},
      {.name = "MatmulOfOtherDepths",
       .expected = {"matmul node 'z'", "are not [.., M, K] and [.., K, N]"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kReshape, {"x"}, "rows")
                 .Set("shape", std::vector<int64_t>{4, 8})
                 .Add(OpType::kMatmul, {"rows", "rows"}, "z");
           }},
      {.name = "MatmulOfVectors",
       .expected = {"matmul node 'z'", "[32] and [32] are not"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kMatmul, {"x", "x"}, "z");
           }},
      {.name = "MatmulOfMoreThanAnyoneWaitsFor",
       .expected = {"matmul node 'z'", "needs more than 2^40 multiplications"},
       .build =
           [](ModelBuilder& b) {
             b.Input("big", {1 << 14, 1 << 14})
                 .Add(OpType::kMatmul, {"big", "big"}, "z");
           }},
      {.name = "TransposeWithADimensionTwice",
       .expected = {"transpose node 'z'", "'order' does not name each"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kReshape, {"x"}, "rows")
                 .Set("shape", std::vector<int64_t>{4, 8})
                 .Add(OpType::kTranspose, {"rows"}, "z")
                 .Set("order", std::vector<int64_t>{1, 1});
           }},
      {.name = "TransposeOfFewerDimensions",
       .expected = {"transpose node 'z'", "'order' does not name each"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kTranspose, {"x"}, "z")
                 .Set("order", std::vector<int64_t>{0, 1});
           }},
      {.name = "PowerOfAThird",
       .expected = {"power node 'z'", "'exponent' is no multiple of a half"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kPower, {"x"}, "z").Set("exponent", 1.0 / 3);
           }},
      {.name = "AliasWithoutARow",
       .expected = {"embedding node 'e'", "'aliases' are not pairs"},
       .build =
           [](ModelBuilder& b) {
             b.Input("ids", {}, ValueType::kInt32)
                 .Add(OpType::kEmbedding, {"ids"}, "e", "fc2.weight")
                 .Set("aliases", std::vector<int64_t>{3});
           }},
      {.name = "AliasOfNoRow",
       .expected = {"embedding node 'e'", "'aliases' have the row 8, of 8"},
       .build =
           [](ModelBuilder& b) {
             b.Input("ids", {}, ValueType::kInt32)
                 .Add(OpType::kEmbedding, {"ids"}, "e", "fc2.weight")
                 .Set("aliases", std::vector<int64_t>{3, 8});
           }},
      {.name = "PositionsDoNotFit",
       .expected = {"tensor 'fc2.weight'", "positions are F32, rows of 32"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kPositionEmbedding, {"x"}, "z", "fc2.weight");
           }},
      {.name = "PositionFactorsAreAMatrix",
       .expected = {"tensor 'fc2.weight'", "factors are an F32 vector"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kPositionScale, {"x"}, "z", "fc2.weight")
                 .Set("period", 4.0);
           }},
      {.name = "TapsDoNotFit",
       .expected = {"tensor 'fc2.weight'",
                    "taps are F32, 1 to 1024 rows of 32"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kCausalConv1d, {"x"}, "z", "fc2.weight");
           }},
      {.name = "GatedDeltaRuleDoesNotFit",
       .expected = {"gated_delta_rule node 'z'",
                    "do not fit 3 heads and 2 heads of keys"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kGatedDeltaRule, {"x", "x", "x", "x", "x"}, "z",
                   "fc1.bias")
                 .Set("heads", 3.0)
                 .Set("key_heads", 2.0);
           }},
      {.name = "MoreRoutesThanExperts",
       .expected = {"route node 'z'", "33 cannot be chosen of 32 experts"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kRoute, {"x"}, "z")
                 .Set("count", 33.0)
                 .Set("over", std::string("all"));
           }},
      {.name = "ExpertsWithNumbersThatAreNotExact",
       .expected = {"route node 'z'", "2 cannot be chosen of 16777220 experts"},
       .build =
           [](ModelBuilder& b) {
             b.Input("many", {(1 << 24) + 4})
                 .Add(OpType::kRoute, {"many"}, "z")
                 .Set("count", 2.0)
                 .Set("over", std::string("all"));
           }},
      {.name = "RoutesWithoutWeights",
       .expected = {"expert_linear node 'z'",
                    "'r' of shape [3] is not numbers"},
       .build = ExpertLinear(3, 2)},
      {.name = "TooManyRoutes",
       .expected = {"expert_linear node 'z'", "weights of up to 1024 experts"},
       .build = ExpertLinear(2050, 2)},
      {.name = "ExpertsDoNotFit",
       .expected = {"expert_linear node 'z'",
                    "do not fit the weight 'fc2.weight' of shape [8, 24], 3"},
       .build = ExpertLinear(2, 3)},
      {.name = "RowsOfExpertsDoNotFitRoutes",
       .expected = {"expert_sum node 'z'", "is not one row for each of 2"},
       .build =
           [](ModelBuilder& b) {
             b.Input("r", {4})
                 .Input("rows", {3, 8})
                 .Add(OpType::kExpertSum, {"rows", "r"}, "z");
           }},
      {.name = "NoGraph",
       .expected = {"not a lutra model", "'lutra.graph' is missing"},
       .build = [](ModelBuilder& b) { b.NoMetadata(kGraphKey); }},
      {.name = "GraphNotJson",
       .expected = {"graph is not valid JSON (at byte"},
       .build = Graph("{\"inputs\":")},
      {.name = "GraphBomb",
       .expected = {"graph is nested too deeply"},
       .build = Graph(std::string(100000, '['))},
      {.name = "UnknownOperator",
       .expected = {"node 'y'", "unknown operator 'conv9d'"},
       .build = Graph(R"({"inputs":[{"name":"x","type":"float32",
           "shape":[32]}],"nodes":[{"op":"conv9d","inputs":["x"],
           "output":"y"}],"outputs":["y"]})")},
      {.name = "WrongInputCount",
       .expected = {"relu node 'z' has 2 inputs, expected 1"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kRelu, {"y", "x"}, "z");
           }},
      {.name = "UndefinedValue",
       .expected = {"relu node 'z' uses the value 'q', which is not defined"},
       .build = [](ModelBuilder& b) { b.Add(OpType::kRelu, {"q"}, "z"); }},
      {.name = "Cycle",
       .expected = {"'p' depends on itself"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kRelu, {"q"}, "p").Add(OpType::kRelu, {"p"}, "q");
           }},
      {.name = "DefinedTwice",
       .expected = {"value 'h1' is defined twice"},
       .build = [](ModelBuilder& b) { b.Add(OpType::kRelu, {"x"}, "h1"); }},
      {.name = "OutputTwice",
       .expected = {"output 'y' is listed twice"},
       .build = [](ModelBuilder& b) { b.Output("y"); }},
      {.name = "OutputIsNotFloat",
       .expected = {"output 'ids' is not float32"},
       .build =
           [](ModelBuilder& b) {
             b.Input("ids", {}, ValueType::kInt32).Output("ids");
           }},
      {.name = "InputHuge",
       .expected = {"value 'z' of shape [1099511627776] is not possible"},
       .build = [](ModelBuilder& b) { b.Input("z", {int64_t{1} << 40}); }},
      {.name = "InputShapeOverflows",
       .expected = {"value 'z' of shape", "is not possible"},
       .build =
           [](ModelBuilder& b) {
             constexpr int64_t kLarge = int64_t{1} << 33;
             b.Input("z", {kLarge, kLarge, kLarge});
           }},
      {.name = "InputEmpty",
       .expected = {"value 'z' of shape [3, 0] is not possible"},
       .build =
           [](ModelBuilder& b) {
             b.Input("z", {3, 0});
           }},
      {.name = "InputManyDimensions",
       .expected = {"value 'z' has more than 8 dimensions"},
       .build =
           [](ModelBuilder& b) { b.Input("z", std::vector<int64_t>(9, 1)); }},
      {.name = "MissingWeight",
       .expected = {"tensor 'fc9.weight'", "missing from the file"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kLinear, {"h1"}, "z", "fc9.weight");
           }},
      {.name = "MissingBias",
       .expected = {"tensor 'fc9.bias'", "missing from the file"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kLinear, {"h1"}, "z", "fc2.weight", "fc9.bias");
           }},
      {.name = "ShapesDoNotFit",
       .expected = {"linear node 'z'", "input 'x' of shape [32] does not fit",
                    "'fc2.weight' of shape [8, 24]"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kLinear, {"x"}, "z", "fc2.weight");
           }},
      {.name = "ShapesDoNotFitPacked",
       .expected = {"linear node 'z'", "input 'h1' of shape [24]",
                    "'fc1.weight' of shape [24, 32]"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kLinear, {"h1"}, "z", "fc1.weight");
           }},
      {.name = "AddOfDifferentShapes",
       .expected = {"add node 'z'", "[32] and [24]"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kAdd, {"x", "h1"}, "z");
           }},
      {.name = "ReluOfIds",
       .expected = {"relu node 'z'", "'ids' is not float32"},
       .build =
           [](ModelBuilder& b) {
             b.Input("ids", {}, ValueType::kInt32)
                 .Add(OpType::kRelu, {"ids"}, "z");
           }},
      {.name = "SoftmaxOfScalar",
       .expected = {"softmax node 'z'", "'s' must be float32"},
       .build =
           [](ModelBuilder& b) {
             b.Input("s", {}).Add(OpType::kSoftmax, {"s"}, "z");
           }},
      {.name = "LinearOfIds",
       .expected = {"linear node 'z'", "'ids' of shape [24] (int32)"},
       .build =
           [](ModelBuilder& b) {
             b.Input("ids", {24}, ValueType::kInt32)
                 .Add(OpType::kLinear, {"ids"}, "z", "fc2.weight");
           }},
      {.name = "EmbeddingOfFloats",
       .expected = {"embedding node 'e'", "'ids' must be int32"},
       .build = [](ModelBuilder& b) { Embedding(b, {}, ValueType::kFloat32); }},
      {.name = "EmbeddingOfEightDimensions",
       .expected = {"value 'e'", "has more than 8 dimensions"},
       .build =
           [](ModelBuilder& b) {
             Embedding(b, {1, 1, 1, 1, 1, 1, 1, 4}, ValueType::kInt32);
           }},
      {.name = "BiasWrongLength",
       .expected = {"tensor 'fc1.bias'", "is F32 [24]", "must be F32 [8]"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kLinear, {"h1"}, "z", "fc2.weight", "fc1.bias");
           }},
      {.name = "BiasNotFloat",
       .expected = {"tensor 'half'", "is F16 [8]", "must be F32 [8]"},
       .build =
           [](ModelBuilder& b) {
             b.Tensor("half", DType::kFloat16, {8}, std::vector<std::byte>(16))
                 .Add(OpType::kLinear, {"h1"}, "z", "fc2.weight", "half");
           }},
      {.name = "WeightNotFloat",
       .expected = {"tensor 'double'", "dtype is F64",
                    "weights are F32, F16, BF16 or packed"},
       .build =
           [](ModelBuilder& b) {
             b.Tensor("double", DType::kFloat64, {2, 24},
                      std::vector<std::byte>(384))
                 .Add(OpType::kLinear, {"h1"}, "z", "double");
           }},
      {.name = "WeightIsAVector",
       .expected = {"tensor 'fc1.bias'", "[24] is not a matrix"},
       .build =
           [](ModelBuilder& b) {
             b.Add(OpType::kLinear, {"h1"}, "z", "fc1.bias");
           }},
      {.name = "WeightIsEmpty",
       .expected = {"tensor 'none'", "[0, 24] is outside the limits"},
       .build =
           [](ModelBuilder& b) {
             b.Floats("none", {0, 24}, {})
                 .Add(OpType::kLinear, {"h1"}, "z", "none");
           }},
      {.name = "WeightNotAligned",
       .expected = {"tensor 'fc1.weight'", "not aligned to its elements"},
       .build =
           [](ModelBuilder& b) {
             b.Floats("fc1.weight", {24, 32}, RandomFloats(24 * 32, 1));
           },
       .edit = [](RawFile& raw) { raw.header += ' '; }},
  };
}

std::vector<BadModel> BlobCases() {
  using namespace kernels;  // field offsets
  const std::string tensor = "tensor 'fc1.weight': not a packed matrix";
  return {
      {.name = "BlobMagic",
       .expected = {tensor, "wrong magic"},
       .edit = Blob(kMagicAt, uint8_t{'X'})},
      {.name = "BlobVersion",
       .expected = {tensor, "version"},
       .edit = Blob(kVersionAt, uint16_t{2})},
      {.name = "BlobBitsZero",
       .expected = {tensor, "bits"},
       .edit = Blob(kBitsAt, uint8_t{0})},
      {.name = "BlobBitsFive",
       .expected = {tensor, "bits"},
       .edit = Blob(kBitsAt, uint8_t{5})},
      {.name = "BlobBitsOfAnotherSize",
       .expected = {tensor, "size"},
       .edit = Blob(kBitsAt, uint8_t{4})},
      {.name = "BlobGranularity",
       .expected = {tensor, "granularity"},
       .edit = Blob(kGranularityAt, uint8_t{9})},
      {.name = "BlobScaleType",
       .expected = {tensor, "scale type"},
       .edit = Blob(kScaleTypeAt, uint8_t{255})},
      {.name = "BlobSuperSpan",
       .expected = {tensor, "super span"},
       .edit = Blob(kSuperSpanAt, uint8_t{3})},
      {.name = "BlobSuperSpanOfVersion1",
       .expected = {tensor, "first version"},
       .edit = Blob(kSuperSpanAt, uint8_t{1})},
      {.name = "BlobSuperType",
       .expected = {tensor, "super"},
       .edit = Blob(kSuperTypeAt, uint8_t{2})},
      {.name = "BlobReserved",
       .expected = {tensor, "reserved"},
       .edit = Blob(kReservedAt48, uint8_t{1})},
      {.name = "BlobNZero",
       .expected = {tensor, "n and k"},
       .edit = Blob(kNAt, uint32_t{0})},
      {.name = "BlobNHuge",
       .expected = {tensor, "n exceeds"},
       .edit = Blob(kNAt, ~uint32_t{0})},
      {.name = "BlobNOther",
       .expected = {tensor, "size"},
       .edit = Blob(kNAt, uint32_t{240})},
      {.name = "BlobKHuge",
       .expected = {tensor, "k exceeds"},
       .edit = Blob(kKAt, uint32_t{1} << 31)},
      {.name = "BlobKAndNLarge",
       .expected = {tensor, "size"},
       .edit =
           [](RawFile& raw) {
             Blob(kNAt, uint32_t{1} << 30)(raw);
             Blob(kKAt, uint32_t{1} << 30)(raw);
           }},
      {.name = "BlobGroupSizeZero",
       .expected = {tensor, "group_size"},
       .edit = Blob(kGroupSizeAt, uint32_t{0})},
      {.name = "BlobGroupSizeOdd",
       .expected = {tensor, "group_size"},
       .edit = Blob(kGroupSizeAt, uint32_t{17})},
      {.name = "BlobGroupSizeHuge",
       .expected = {tensor, "group_size"},
       .edit = Blob(kGroupSizeAt, ~uint32_t{0})},
      {.name = "BlobSizeField",
       .expected = {tensor, "size"},
       .edit = Blob(kTotalBytesAt, uint64_t{64})},
      {.name = "BlobTableRange",
       .expected = {tensor, "table range"},
       .edit = Blob(kTableMaxAt, int8_t{127})},
      {.name = "BlobTruncated",
       .expected = {tensor, "truncated"},
       .build =
           [](ModelBuilder& b) {
             const auto packed = RandomPacked(24, 32);
             b.Packed("fc1.weight",
                      {packed.blob.get(), packed.blob_bytes - 64});
           }},
      {.name = "BlobTiny",
       .expected = {tensor, "shorter than its header"},
       .build =
           [](ModelBuilder& b) {
             b.Packed("fc1.weight", std::vector<uint8_t>(16));
           }},
      {.name = "BlobEmpty",
       .expected = {tensor, "shorter than its header"},
       .build = [](ModelBuilder& b) { b.Packed("fc1.weight", {}); }},
      {.name = "BlobShape",
       .expected = {"tensor 'fc1.weight'", "not that of a packed tensor"},
       .build =
           [](ModelBuilder& b) {
             b.Tensor("fc1.weight", DType::kUInt8, {8, 16},
                      std::vector<std::byte>(128));
           }},
      {.name = "BlobMisaligned",
       .expected = {"tensor 'fc1.weight'", "not aligned to 64 bytes"},
       .edit = [](RawFile& raw) { raw.header += "        "; }},
  };
}

class BadModelTest : public ::testing::TestWithParam<BadModel> {};

TEST_P(BadModelTest, IsRefused) { ExpectRefused(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Model, BadModelTest, ::testing::ValuesIn(ModelCases()),
                         [](const auto& test) { return test.param.name; });
INSTANTIATE_TEST_SUITE_P(Blob, BadModelTest, ::testing::ValuesIn(BlobCases()),
                         [](const auto& test) { return test.param.name; });

class DamagedFileTest : public ::testing::Test {
 protected:
  TempDir dir_;
  const std::filesystem::path path_ = dir_ / "bad.safetensors";
};

TEST_F(DamagedFileTest, GoodModelLoads) {
  GoodModel().Write(path_);
  EXPECT_EQ(Model::Load(path_)->outputs().size(), 1u);
}

TEST_F(DamagedFileTest, MissingFile) {
  EXPECT_THAT(ErrorMessage([&] { Model::Load(path_); }),
              HasSubstr("bad.safetensors: cannot open: No such file"));
}

TEST_F(DamagedFileTest, Folder) {
  EXPECT_THAT(ErrorMessage([&] { Model::Load(dir_.path()); }),
              HasSubstr("is a folder, not a file"));
}

TEST_F(DamagedFileTest, Device) {
  EXPECT_THAT(ErrorMessage([&] { Model::Load("/dev/null"); }),
              HasSubstr("/dev/null: is not a regular file"));
}

// It is refused at once, not when somebody writes to it.
TEST_F(DamagedFileTest, Pipe) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_THAT(ErrorMessage([&] { Model::Load(path_); }),
              HasSubstr("bad.safetensors: is not a regular file"));
}

// Names from a file stay on one line of bounded length.
TEST_F(DamagedFileTest, HostileNames) {
  ModelBuilder builder = GoodModel();
  builder.Add(OpType::kLinear, {"h1"}, "z",
              "a\n\x1b[31m" + std::string(5000, 'w'));
  builder.Write(path_);
  const std::string message = ErrorMessage([&] { Model::Load(path_); });
  EXPECT_THAT(message, HasSubstr("'a\\x0a\\x1b[31mww"));
  EXPECT_LT(message.size(), 3000u);
}

// A wrong byte anywhere is refused or harmless, never a crash.
TEST_F(DamagedFileTest, AnyByteFlipped) {
  GoodModel().Write(path_);
  const std::string good = ReadBytes(path_);
  std::mt19937 rng(11);
  int refused = 0;
  for (int i = 0; i < 500; ++i) {
    std::string bytes = good;
    // The headers are the interesting part.
    const size_t limit = i % 2 == 0 ? 1600 : bytes.size();
    bytes[rng() % std::min(limit, bytes.size())] ^=
        static_cast<char>(1 << (rng() % 8));
    WriteBytes(path_, bytes);
    try {
      Model::Load(path_);
    } catch (const Error& error) {
      ++refused;
      EXPECT_THAT(error.what(), HasSubstr("bad.safetensors"));
    }
  }
  EXPECT_GT(refused, 80);
}

}  // namespace
}  // namespace lutra
