#include "lutra/runtime/graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "lutra/runtime/operator.h"
#include "tests/runtime/throws.h"

namespace lutra {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::string_view kTwoLayers = R"({
  "inputs":[{"name":"x","type":"float32","shape":[784]}],
  "nodes":[{"op":"linear","inputs":["x"],"output":"h0",
            "weight":"fc1.weight","bias":"fc1.bias"},
           {"op":"relu","inputs":["h0"],"output":"h1"}],
  "outputs":["h1"]})";

std::vector<std::string> Outputs(const Graph& graph) {
  std::vector<std::string> names;
  for (const Node& node : graph.nodes) names.push_back(node.output);
  return names;
}

TEST(GraphTest, Parses) {
  const Graph graph = ParseGraph(kTwoLayers, "f");
  ASSERT_EQ(graph.inputs.size(), 1u);
  EXPECT_EQ(graph.inputs[0].name, "x");
  EXPECT_EQ(graph.inputs[0].type, ValueType::kFloat32);
  EXPECT_EQ(graph.inputs[0].shape, std::vector<int64_t>{784});
  ASSERT_EQ(graph.nodes.size(), 2u);
  EXPECT_EQ(graph.nodes[0].op, OpType::kLinear);
  EXPECT_EQ(graph.nodes[0].inputs, std::vector<std::string>{"x"});
  EXPECT_EQ(graph.nodes[0].weight, "fc1.weight");
  EXPECT_EQ(graph.nodes[0].bias, "fc1.bias");
  EXPECT_EQ(graph.nodes[1].op, OpType::kRelu);
  EXPECT_EQ(graph.outputs, std::vector<std::string>{"h1"});
}

TEST(GraphTest, JsonRoundTrip) {
  Graph graph;
  graph.inputs = {{"ids", ValueType::kInt32, {}},
                  {"x", ValueType::kFloat32, {3, 4}}};
  for (const OpType op :
       {OpType::kLinear, OpType::kEmbedding, OpType::kRelu, OpType::kGelu,
        OpType::kSilu, OpType::kAdd, OpType::kMul, OpType::kSoftmax}) {
    Node node;
    node.op = op;
    node.inputs.assign(InputCount(op), "x");
    node.output = "v" + std::string(Name(op));
    if (HasWeight(op)) node.weight = "w";
    if (op == OpType::kLinear) node.bias = "a \"quoted\" name";
    graph.nodes.push_back(node);
  }
  graph.outputs = {"vadd", "vrelu"};
  graph.cache = kernels::CacheType::kInt8;
  const std::string text = GraphToJson(graph);
  const Graph parsed = ParseGraph(text, "f");
  EXPECT_EQ(GraphToJson(parsed), text);
  EXPECT_EQ(parsed.cache, kernels::CacheType::kInt8);
  EXPECT_EQ(parsed.inputs[0].type, ValueType::kInt32);
  EXPECT_EQ(parsed.nodes[0].bias, "a \"quoted\" name");
}

TEST(GraphTest, SortsNodes) {
  const Graph graph = ParseGraph(R"({
    "inputs":[{"name":"x","type":"float32","shape":[4]}],
    "nodes":[{"op":"add","inputs":["b","c"],"output":"d"},
             {"op":"relu","inputs":["a"],"output":"b"},
             {"op":"silu","inputs":["a"],"output":"c"},
             {"op":"gelu","inputs":["x"],"output":"a"},
             {"op":"mul","inputs":["x","x"],"output":"unused"}],
    "outputs":["d"]})",
                                 "f");
  EXPECT_EQ(Outputs(graph),
            (std::vector<std::string>{"a", "b", "c", "d", "unused"}));
}

TEST(GraphTest, KeepsAnOrderThatWorks) {
  Graph graph;
  graph.inputs = {{"x", ValueType::kFloat32, {1}}};
  for (const char* name : {"z", "y", "m", "a"}) {
    graph.nodes.push_back({OpType::kRelu, {"x"}, name, "", ""});
  }
  graph.outputs = {"a"};
  EXPECT_EQ(Outputs(ParseGraph(GraphToJson(graph), "f")), Outputs(graph));
}

TEST(GraphTest, SortsLongChainsQuickly) {
  Graph graph;
  graph.inputs = {{"0", ValueType::kFloat32, {1}}};
  constexpr int kNodes = 5000;
  for (int i = kNodes; i > 0; --i) {
    graph.nodes.push_back(
        {OpType::kRelu, {std::to_string(i - 1)}, std::to_string(i), "", ""});
  }
  graph.outputs = {std::to_string(kNodes)};
  const Graph sorted = ParseGraph(GraphToJson(graph), "f");
  EXPECT_EQ(sorted.nodes.front().output, "1");
  EXPECT_EQ(sorted.nodes.back().output, std::to_string(kNodes));
}

struct BadGraph {
  const char* name;
  // Replaces `from` in kTwoLayers.
  const char* from;
  const char* to;
  const char* expected;
};

void PrintTo(const BadGraph& bad, std::ostream* out) { *out << bad.name; }

class BadGraphTest : public ::testing::TestWithParam<BadGraph> {};

TEST_P(BadGraphTest, IsRefused) {
  std::string text(kTwoLayers);
  const size_t at = text.find(GetParam().from);
  ASSERT_NE(at, std::string::npos);
  text.replace(at, std::string(GetParam().from).size(), GetParam().to);
  EXPECT_THAT(
      ErrorMessage([&] { ParseGraph(text, "some.file"); }),
      AllOf(StartsWith("some.file: graph"), HasSubstr(GetParam().expected)));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadGraphTest,
    ::testing::Values(
        BadGraph{"NotJson", "\"inputs\"", "inputs", "not valid JSON"},
        BadGraph{"Cache", "\"inputs\":", "\"cache\":\"int9\",\"inputs\":",
                 "unknown cache type 'int9'; did you mean 'int8'?"},
        BadGraph{"List", "{\n  \"inputs\"", "[] {", "not valid JSON"},
        BadGraph{"UnknownKey",
                 "\"outputs\":", "\"attention\":", "unknown key 'attention'"},
        BadGraph{"NoOutputs", ",\n  \"outputs\":[\"h1\"]", "", "no 'outputs'"},
        BadGraph{"EmptyOutputs", "\"outputs\":[\"h1\"]", "\"outputs\":[]",
                 "no outputs"},
        BadGraph{"OutputTwice", "\"outputs\":[\"h1\"]",
                 "\"outputs\":[\"h1\",\"h1\"]", "'h1' is listed twice"},
        BadGraph{"OutputUndefined", "\"outputs\":[\"h1\"]",
                 "\"outputs\":[\"h2\"]", "'h2' is not defined"},
        BadGraph{"OutputsNoList", "\"outputs\":[\"h1\"]", "\"outputs\":\"h1\"",
                 "'outputs' is not a list"},
        BadGraph{"KeyTwice", "\"outputs\":[", "\"outputs\":[],\"outputs\":[",
                 "'outputs' twice"},
        BadGraph{"InputNotAnObject",
                 "{\"name\":\"x\",\"type\":\"float32\",\"shape\":[784]}", "3",
                 "input is not a JSON object"},
        BadGraph{"InputType", "float32", "float64",
                 "input 'x' has the unknown type 'float64'"},
        BadGraph{"InputShape", "[784]", "[-784]", "dimension -784"},
        BadGraph{"InputShapeFraction", "[784]", "[7.5]", "dimension 7.5"},
        BadGraph{"InputShapeHuge", "[784]", "[18446744073709551615]",
                 "dimension 18446744073709551615"},
        BadGraph{"InputNoName", "\"name\":\"x\",", "", "input has no 'name'"},
        BadGraph{"EmptyName", "\"name\":\"x\"", "\"name\":\"\"",
                 "a name is empty"},
        BadGraph{"ZeroByteInName", "\"name\":\"x\"", "\"name\":\"x\\u0000\"",
                 "zero byte"},
        BadGraph{"UnknownOperator", "relu", "relu7",
                 "node 'h1' has the unknown operator 'relu7'"},
        BadGraph{"OperatorNumber", "\"relu\"", "7", "not a string"},
        BadGraph{"WrongInputCount", "[\"h0\"]", "[\"h0\",\"x\"]",
                 "relu node 'h1' has 2 inputs, expected 1"},
        BadGraph{"NoInputs", "\"inputs\":[\"h0\"],", "",
                 "node 'h1' has no 'inputs'"},
        BadGraph{"UndefinedValue", "[\"h0\"]", "[\"h9\"]",
                 "uses the value 'h9', which is not defined"},
        BadGraph{"DefinedTwice", "\"output\":\"h1\"", "\"output\":\"h0\"",
                 "'h0' is defined twice"},
        BadGraph{"InputRedefined", "\"output\":\"h0\"", "\"output\":\"x\"",
                 "'x' is defined twice"},
        BadGraph{"NoWeight", "\"weight\":\"fc1.weight\",", "",
                 "linear node 'h0' has no weight"},
        BadGraph{"WeightOfRelu", "\"op\":\"relu\"",
                 "\"op\":\"relu\",\"weight\":\"w\"",
                 "relu node 'h1' takes no weight"},
        BadGraph{"BiasOfEmbedding", "linear", "embedding", "takes no bias"},
        BadGraph{"Cycle", "[\"x\"]", "[\"h1\"]", "'h0' depends on itself"},
        BadGraph{"SelfLoop", "[\"h0\"]", "[\"h1\"]", "'h1' depends on itself"}),
    [](const auto& test) { return test.param.name; });

// A graph with one node that has the attributes in braces.
std::string WithAttributes(const std::string& op, size_t inputs,
                           const std::string& attributes) {
  std::string names = R"("x")";
  for (size_t i = 1; i < inputs; ++i) names += R"(,"x")";
  const std::string weight =
      HasWeight(*FindOperator(op)) ? std::string(R"(,"weight":"w")") : "";
  return R"({"inputs":[{"name":"x","type":"float32","shape":[8]}],"nodes":[{)"
         R"("op":")" +
         op + R"(","inputs":[)" + names + R"(],"output":"y")" + weight +
         attributes + R"(}],"outputs":["y"]})";
}

TEST(GraphTest, AttributesAreKept) {
  const std::string text = WithAttributes(
      "attention", 3,
      R"(,"attributes":{"heads":32,"kv_heads":4,"scale":0.125})");
  const Graph graph = ParseGraph(text, "f");
  const Node node = ParseGraph(GraphToJson(graph), "f").nodes[0];
  EXPECT_EQ(node.attributes, graph.nodes[0].attributes);
  EXPECT_EQ(CountAttribute(node, "heads"), 32u);
  EXPECT_EQ(CountAttribute(node, "kv_heads"), 4u);
  EXPECT_EQ(NumberAttribute(node, "scale"), 0.125);
  EXPECT_EQ(CountAttribute(node, "window"), 0u);  // not given
  EXPECT_THAT(ErrorMessage([&] { CountAttribute(node, "eps"); }),
              HasSubstr("attention has no attribute 'eps'"));
  EXPECT_THAT(ErrorMessage([&] { WordAttribute(node, "heads"); }),
              HasSubstr("'heads' must be a whole number"));
  // Whole numbers are written as such.
  EXPECT_THAT(GraphToJson(graph), HasSubstr("\"heads\":32,"));
}

TEST(GraphTest, ListsAndTheirDefaults) {
  const Graph graph = ParseGraph(
      WithAttributes("conv2d", 1,
                     R"(,"attributes":{"kernel":[3,5],"padding":[0,1,2,3]})"),
      "f");
  const Node& node = graph.nodes[0];
  EXPECT_EQ(ListAttribute(node, "kernel"), (std::vector<int64_t>{3, 5}));
  EXPECT_EQ(ListAttribute(node, "padding"), (std::vector<int64_t>{0, 1, 2, 3}));
  EXPECT_EQ(ListAttribute(node, "stride"), (std::vector<int64_t>{1, 1}));
  EXPECT_EQ(ListAttribute(node, "dilation"), (std::vector<int64_t>{1, 1}));
}

TEST(GraphTest, EveryOperatorHasAName) {
  for (const OpType op : AllOperators()) {
    EXPECT_EQ(FindOperator(Name(op)), op);
    EXPECT_TRUE(HasWeight(op) || !IsPackable(op));
  }
}

struct BadAttribute {
  const char* op;
  size_t inputs;
  const char* attributes;
  const char* expected;
};

TEST(GraphTest, BadAttributesAreRefused) {
  const BadAttribute cases[] = {
      {"rms_norm", 1, "", "rms_norm node 'y' has no attribute 'eps'"},
      {"rms_norm", 1, R"(,"attributes":[])", "attributes are no object"},
      {"rms_norm", 1, R"(,"attributes":7)", "attributes are no object"},
      {"rms_norm", 1, R"(,"attributes":{"eps":1e-5,"eps2":1})",
       "unknown attribute 'eps2'"},
      {"relu", 1, R"(,"attributes":{"slope":1})", "unknown attribute 'slope'"},
      {"rms_norm", 1, R"(,"attributes":{"eps":"NaN"})",
       "'eps' must be a number from 0 to 1"},
      {"rms_norm", 1, R"(,"attributes":{"eps":-1e-5})", "'eps' must be"},
      {"rms_norm", 1, R"(,"attributes":{"eps":1e300})", "'eps' must be"},
      {"rms_norm", 1, R"(,"attributes":{"eps":1e999})", "not valid JSON"},
      {"rms_norm", 1, R"(,"attributes":{"eps":null})", "'eps' must be"},
      {"rms_norm", 1, R"(,"attributes":{"eps":{}})", "'eps' must be"},
      {"rms_norm", 1, R"(,"attributes":{"eps":[0.1]})", "'eps' must be"},
      {"rms_norm", 1, R"(,"attributes":{"eps":true})", "'eps' must be"},
      {"attention", 3, R"(,"attributes":{"heads":0,"kv_heads":1})",
       "'heads' must be a whole number from 1 to 1048576"},
      {"attention", 3, R"(,"attributes":{"heads":2.5,"kv_heads":1})",
       "'heads' must be"},
      {"attention", 3, R"(,"attributes":{"heads":1e18,"kv_heads":1})",
       "'heads' must be"},
      {"attention", 3,
       R"(,"attributes":{"heads":18446744073709551615,"kv_heads":1})",
       "'heads' must be"},
      {"attention", 3, R"(,"attributes":{"heads":4,"kv_heads":-4})",
       "'kv_heads' must be"},
      {"attention", 3, R"(,"attributes":{"heads":4,"kv_heads":4,"window":-1})",
       "'window' must be"},
      {"rope", 1, R"(,"attributes":{"head_dim":8,"pairing":"quarter"})",
       "'pairing' must be one of: half adjacent"},
      {"rope", 1, R"(,"attributes":{"head_dim":8,"pairing":""})",
       "'pairing' must be"},
      {"rope", 1, R"(,"attributes":{"head_dim":8,"pairing":"half adjacent"})",
       "'pairing' must be"},
      {"rope", 1, R"(,"attributes":{"head_dim":8,"pairing":1})",
       "'pairing' must be"},
      {"lstm_cell", 1, R"(,"attributes":{"gates":"ifg"})",
       "'gates' must be the letters of 'ifgo'"},
      {"lstm_cell", 1, R"(,"attributes":{"gates":"iigo"})", "'gates' must"},
      {"lstm_cell", 1, R"(,"attributes":{"gates":"ifgoo"})", "'gates' must"},
      {"gru_cell", 1, R"(,"attributes":{"gates":"rnz","reset":"after"})",
       "'gates' must be one of: zrn rzn"},
      {"gru_cell", 1, R"(,"attributes":{"gates":"zrn","reset":"never"})",
       "'reset' must be one of: before after"},
      {"conv2d", 1, R"(,"attributes":{"kernel":[3]})",
       "'kernel' must be a list of 2 whole numbers from 1 to 1048576"},
      {"conv2d", 1, R"(,"attributes":{"kernel":[3,0]})", "'kernel' must be"},
      {"conv2d", 1, R"(,"attributes":{"kernel":[3,1.5]})", "'kernel' must be"},
      {"conv2d", 1, R"(,"attributes":{"kernel":[3,9223372036854775807]})",
       "'kernel' must be"},
      {"conv2d", 1, R"(,"attributes":{"kernel":[3,18446744073709551615]})",
       "'kernel' must be"},
      {"conv2d", 1, R"(,"attributes":{"kernel":[3,3],"stride":[0,1]})",
       "'stride' must be"},
      {"max_pool2d", 1, R"(,"attributes":{"kernel":[2,2],"dilation":[1,1]})",
       "unknown attribute 'dilation'"},
      {"reshape", 1, R"(,"attributes":{"shape":[]})",
       "'shape' must be a list of 1 to 8"},
      {"reshape", 1, R"(,"attributes":{"shape":[1,1,1,1,1,1,1,1,8]})",
       "'shape' must be a list of 1 to 8"},
      {"reshape", 1, R"(,"attributes":{"shape":[-8]})", "'shape' must be"}};
  for (const BadAttribute& bad : cases) {
    const std::string text = WithAttributes(bad.op, bad.inputs, bad.attributes);
    EXPECT_THAT(ErrorMessage([&] { ParseGraph(text, "some.file"); }),
                AllOf(StartsWith("some.file: graph"), HasSubstr(bad.expected)))
        << text;
  }
}

TEST(GraphTest, NestingIsLimited) {
  const std::string bomb(1 << 20, '[');
  EXPECT_THAT(ErrorMessage([&] { ParseGraph(bomb, "f"); }),
              HasSubstr("nested too deeply"));
}

}  // namespace
}  // namespace lutra
