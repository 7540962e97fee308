#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "lutra/qat/activations.h"
#include "lutra/qat/quantizers.h"
#include "lutra/qat/range_observer.h"
#include "lutra/qat/range_statistics.h"
#include "lutra/qat/spec.h"
#include "lutra/runtime/error.h"
#include "tests/qat/random_values.h"

// A specification is a promise: each of its fields changes what a run does, or
// is refused. A field that does neither fails here, and so does one that the
// table does not know.

namespace lutra::qat {
namespace {

constexpr size_t kWeightRows = 4;
constexpr size_t kWeightColumns = 96;

template <typename Values>
void Print(const Values& values, std::ostream& text) {
  text.precision(9);
  for (const auto& value : values) text << value << ' ';
}

// The weights that training and packing make of some, and how scales are kept.
std::string Effect(const QuantScheme& given) {
  const QuantScheme scheme = ForRow(given, kWeightColumns);
  std::ostringstream text;
  text << Name(scheme.scale_type) << ' ';
  const std::vector<float> w = RandomValues(kWeightRows * kWeightColumns, 11);
  const auto quantizer = MakeQuantizer(scheme.quantizer);
  const size_t group = scheme.group_size == 0
                           ? kWeightColumns
                           : static_cast<size_t>(scheme.group_size);
  std::vector<float> q(group);
  std::vector<float> grid(quantizer->GridSize(scheme.bits));
  for (size_t begin = 0; begin < w.size(); begin += group) {
    quantizer->Quantize({w.data() + begin, 1, group, true}, scheme.bits,
                        q.data(), grid.data());
    Print(q, text);
  }
  return text.str();
}

// The range that is found on some values.
std::string RangeEffect(const TensorSpec& spec) {
  std::ostringstream text;
  text.precision(9);
  // With few values that are much larger than the others.
  std::vector<float> x = RandomValues(1 << 16, 12);
  for (float& value : x) value += 0.25f;
  x[7] = 40.0f;
  x[8] = -30.0f;
  if (spec.observer == RangeMethod::kMeanMax) {
    RangeStatistics statistics;
    statistics.Add("x", x.data(), x.size());
    statistics.Add("x", x.data() + 8, 64);
    const auto [least, most] = statistics.Range("x", spec.symmetric);
    text << least << ' ' << most;
    return text.str();
  }
  RangeObserver observer(ObserverOptionsOf(spec));
  observer.Observe(x.data(), 1, x.size());
  const AffineParameters found = observer.Parameters(0);
  text << found.scale << ' ' << found.zero_point;
  return text.str();
}

// All that a layer becomes.
std::string Effect(const LayerSpec& layer) {
  std::ostringstream text;
  text << "weights "
       << (layer.weights ? Effect(SchemeOf(*layer.weights)) : "-");
  if (layer.activations) {
    const InputQuantization input = InputOf(*layer.activations);
    text << " input " << static_cast<int>(*input.type) << ' ' << input.bits
         << ' ' << input.group_size;
    if (!layer.activations->IsFloat() && !layer.activations->dynamic) {
      text << ' ' << RangeEffect(*layer.activations);
    }
  }
  if (layer.outputs) {
    Graph graph;
    Node node;
    node.output = "y";
    graph.nodes.push_back(node);
    RoundOutput({"y", *layer.outputs}, -1.0f, 3.0f, graph);
    const Node& rounded = graph.nodes[1];
    text << " output " << NumberAttribute(rounded, "scale") << ' '
         << NumberAttribute(rounded, "low") << ' '
         << NumberAttribute(rounded, "high") << ' '
         << RangeEffect(*layer.outputs);
  }
  return text.str();
}

// Of a file, on two weights; or why it is refused.
std::string Effect(const nlohmann::json& spec) {
  try {
    const auto parsed = QuantizationSpec::Parse(spec.dump(), "spec");
    return Effect(parsed.Match({"blocks.0.fc", OpType::kLinear})) + "\n" +
           Effect(parsed.Match({"embed", OpType::kEmbedding}));
  } catch (const Error&) {
    return "refused";
  }
}

struct Field {
  const char* key;
  std::vector<nlohmann::json> values;  // others than the one that is there
};

// The value is put into `base` and must matter.
void Check(const nlohmann::json& base, const std::vector<std::string>& path,
           const std::vector<Field>& fields) {
  const std::string usual = Effect(base);
  ASSERT_NE(usual, "refused") << base;
  for (const Field& field : fields) {
    for (const nlohmann::json& value : field.values) {
      nlohmann::json changed = base;
      nlohmann::json* object = &changed;
      for (const std::string& step : path) {
        object = object->is_array() ? &(*object)[0] : &(*object)[step];
      }
      (*object)[field.key] = value;
      EXPECT_TRUE(Effect(changed) != usual) << field.key << ' ' << value;
    }
  }
}

std::set<std::string> Keys(const std::vector<Field>& fields) {
  std::set<std::string> keys;
  for (const Field& field : fields) keys.insert(field.key);
  return keys;
}

std::set<std::string> Keys(const nlohmann::json& object) {
  std::set<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.insert(key);
  return keys;
}

const std::vector<Field> kWeightFields = {
    {"dtype",
     {"int1", "int2", "int3", "int5", "int6", "int7", "int8", "ternary",
      "uint4", "fp4", "fp6e2m3", "fp6e3m2", "fp8e4m3", "fp8e5m2"}},
    {"granularity", {"tensor", "channel"}},
    {"group_size", {16, 48, "1/2", 0, "1/0", "row"}},
    {"symmetric", {false}},
    {"observer", {"percentile", "mse", "mean-max", "mx"}},
    {"percentile", {99.0}},
    {"scale_type", {"bfloat16", "float16", "two-level", "power-of-two"}},
    {"rounding", {"half-away", "floor", "stochastic"}},
    {"dynamic", {false}},
    {"quantizer", {"stretched", "mse", "lsbq", "fp4", "max-uniform"}}};

const std::vector<Field> kActivationFields = {
    {"dtype", {"int2", "int4", "int7", "int1", "ternary", "uint4", "fp8e4m3"}},
    {"granularity", {"tensor", "group"}},
    {"group_size", {32, "1/2"}},
    {"symmetric", {true}},
    {"observer", {"percentile", "mse", "mean-max", "mx"}},
    {"percentile", {99.0}},
    {"scale_type", {"bfloat16", "float16", "two-level", "power-of-two"}},
    {"rounding", {"half-away", "floor", "stochastic"}},
    {"dynamic", {false}},
    {"quantizer", {"intx"}}};

std::vector<Field> Without(std::vector<Field> fields, const std::string& key) {
  std::erase_if(fields, [&](const Field& field) { return field.key == key; });
  return fields;
}

TEST(SpecFieldsTest, EachFieldOfWeightsMatters) {
  Check({{"weights", {{"dtype", "int4"}, {"group_size", 32}}}}, {"weights"},
        kWeightFields);
  Check({{"weights",
          {{"dtype", "fp8e4m3"}, {"group_size", 32}, {"observer", "mx"}}}},
        {"weights"},
        {{"dtype", {"fp8e5m2", "fp6e2m3", "int8", "int4"}},
         {"observer", {"min-max", "mse", "percentile"}},
         {"scale_type", {"bfloat16"}}});
}

TEST(SpecFieldsTest, EachFieldOfActivationsMatters) {
  Check({{"activations", {{"dtype", "int8"}}}}, {"activations"},
        kActivationFields);
  const nlohmann::json fixed = {
      {"activations", {{"dtype", "int8"}, {"dynamic", false}}}};
  std::vector<Field> fields = Without(kActivationFields, "dynamic");
  fields = Without(fields, "granularity");
  fields.push_back({"dynamic", {true}});
  fields.push_back({"granularity", {"token", "group"}});
  Check(fixed, {"activations"}, fields);
  Check({{"activations", {{"dynamic", false}, {"observer", "percentile"}}}},
        {"activations"}, {{"percentile", {90.0, 0.0, 101.0}}});
}

TEST(SpecFieldsTest, EachFieldOfOutputsMatters) {
  std::vector<Field> fields = Without(kActivationFields, "dynamic");
  fields = Without(fields, "granularity");
  fields.push_back({"dynamic", {true}});
  fields.push_back({"granularity", {"token", "group"}});
  Check({{"outputs", {{"dtype", "int8"}}}}, {"outputs"}, fields);
}

TEST(SpecFieldsTest, EachFieldOfAFileMatters) {
  const nlohmann::json base = {
      {"weights", {{"dtype", "int4"}}},
      {"rules", {{{"name", "fc"}, {"weights", {{"dtype", "int3"}}}}}}};
  const nlohmann::json int2 = {{"dtype", "int2"}};
  Check(base, {},
        {{"preset", {"lsbq2", "int8da-int4w-g32"}},
         {"weights", {int2, "float32"}},
         {"activations", {int2, "float32"}},
         {"outputs", {int2}},
         {"bias", {"int8", nullptr, int2}},
         {"rules", {nlohmann::json::array()}},
         {"exclude", {{"embed"}, {"op:linear"}}}});
  Check(base, {"rules", "0"},
        {{"name", {"embed", "nothing"}},
         {"op", {"embedding"}},
         {"weights", {int2, "float32"}},
         {"activations", {int2, "float32"}},
         {"outputs", {int2}},
         {"bias", {"int8"}}});
}

// What a file can say is what the tables above have.
TEST(SpecFieldsTest, TheTablesHaveAllFields) {
  const auto spec = QuantizationSpec::Parse(
      R"({"weights": {"group_size": 32},
          "activations": {"dynamic": false, "observer": "percentile"},
          "outputs": {"observer": "percentile"},
          "rules": [{"name": "a", "op": "linear"}]})",
      "spec");
  const auto written = nlohmann::json::parse(spec.ToJson());
  // An observer of activations, whose percentile weights do not have.
  std::set<std::string> weights = Keys(written["weights"]);
  weights.insert("percentile");
  EXPECT_EQ(weights, Keys(kWeightFields));
  std::set<std::string> activations = Keys(written["activations"]);
  activations.insert({"group_size", "quantizer"});
  EXPECT_EQ(activations, Keys(kActivationFields));
  EXPECT_EQ(Keys(written["outputs"]), Keys(written["activations"]));
  EXPECT_EQ(Keys(written),
            (std::set<std::string>{"weights", "activations", "outputs", "rules",
                                   "exclude"}));
  EXPECT_EQ(Keys(written["rules"][0]),
            (std::set<std::string>{"name", "op", "weights", "activations",
                                   "outputs"}));
}

}  // namespace
}  // namespace lutra::qat
