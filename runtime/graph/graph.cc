#include "lutra/runtime/graph.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <queue>
#include <set>
#include <string_view>
#include <utility>

#include "lutra/runtime/error.h"
#include "runtime/base/json.h"
#include "runtime/base/json_object.h"
#include "runtime/base/text_of.h"
#include "runtime/base/unknown_word.h"
#include "runtime/graph/attributes.h"

namespace lutra {
namespace {

using nlohmann::json;

// Far above any network; keeps a hostile file from costing much.
constexpr size_t kMaxNodes = size_t{1} << 16;
constexpr size_t kMaxPorts = 256;  // inputs, and outputs, of a graph

constexpr std::string_view kFloat32Name = "float32";
constexpr std::string_view kInt32Name = "int32";

// Writes JSON without building a tree of it, whose destructor needs memory.
std::string ToJson(double value) {
  // Whole numbers without a fraction, exactly.
  constexpr double kExact = 9007199254740992.0;  // 2^53
  if (value == std::floor(value) && std::abs(value) <= kExact) {
    return std::to_string(static_cast<int64_t>(value));
  }
  return json(value).dump();
}

std::string ToJson(int64_t value) { return std::to_string(value); }

// Names of a graph are UTF-8: they come from JSON or from programs.
std::string ToJson(std::string_view text) { return json(text).dump(); }

std::string ToJson(const GraphInput& input);
std::string ToJson(const Node& node);

template <typename T>
std::string ToJson(const std::vector<T>& values) {
  std::string text = "[";
  for (const T& value : values) {
    if (text.size() > 1) text += ',';
    text += ToJson(value);
  }
  return TextOf(text, "]");
}

class ObjectWriter {
 public:
  // `value` is JSON.
  void Add(std::string_view key, const std::string& value) {
    if (text_.size() > 1) text_ += ',';
    text_ += ToJson(key);
    text_ += ':';
    text_ += value;
  }
  std::string Text() const { return TextOf(text_, "}"); }

 private:
  std::string text_ = "{";
};

std::string ToJson(const GraphInput& input) {
  ObjectWriter object;
  object.Add("name", ToJson(input.name));
  object.Add("type", ToJson(input.type == ValueType::kInt32 ? kInt32Name
                                                            : kFloat32Name));
  object.Add("shape", ToJson(input.shape));
  return object.Text();
}

std::string ToJson(const Node& node) {
  ObjectWriter object;
  object.Add("op", ToJson(Name(node.op)));
  object.Add("inputs", ToJson(node.inputs));
  object.Add("output", ToJson(node.output));
  if (!node.weight.empty()) object.Add("weight", ToJson(node.weight));
  if (!node.bias.empty()) object.Add("bias", ToJson(node.bias));
  if (!node.attributes.empty()) {
    ObjectWriter attributes;
    for (const auto& [name, attribute] : node.attributes) {
      attributes.Add(name,
                     std::visit([](const auto& value) { return ToJson(value); },
                                attribute));
    }
    object.Add("attributes", attributes.Text());
  }
  return object.Text();
}

// Reads one graph; all errors go through Fail.
class GraphParser {
 public:
  explicit GraphParser(std::string_view file) : file_(file) {}

  Graph Parse(std::string_view text) {
    const JsonDocument document = ParseJson(text, file_, "graph");
    const json& root = document.root();
    CheckKeys(root, "graph", {"inputs", "nodes", "outputs", "cache"});
    Graph graph;
    for (const json& entry : List(root, "graph", "inputs", kMaxPorts)) {
      graph.inputs.push_back(ReadInput(entry));
    }
    for (const json& entry : List(root, "graph", "nodes", kMaxNodes)) {
      graph.nodes.push_back(ReadNode(entry));
    }
    for (const json& entry : List(root, "graph", "outputs", kMaxPorts)) {
      graph.outputs.push_back(ReadName(entry, "graph output"));
    }
    if (root.contains("cache")) {
      const std::string cache = ReadName(root.at("cache"), "cache");
      try {
        graph.cache = ParseCacheType(cache);
      } catch (const Error& error) {
        Fail(error.what());
      }
    }
    return graph;
  }

  // Order: of two nodes that may run, the one that comes first in the file.
  std::vector<Node> Sort(const Graph& graph) const {
    // Node that makes a value; nullopt for inputs of the graph.
    std::map<std::string_view, std::optional<size_t>> makers;
    for (const GraphInput& input : graph.inputs) {
      if (!makers.emplace(input.name, std::nullopt).second) {
        Fail(TextOf("value '", input.name, "' is defined twice"));
      }
    }
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
      if (!makers.emplace(graph.nodes[i].output, i).second) {
        Fail(TextOf("value '", graph.nodes[i].output, "' is defined twice"));
      }
    }
    CheckOutputs(graph, makers);

    std::vector<std::vector<size_t>> users(graph.nodes.size());
    std::vector<size_t> waiting_for(graph.nodes.size(), 0);
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
      for (const std::string& input : graph.nodes[i].inputs) {
        const auto maker = makers.find(input);
        if (maker == makers.end()) {
          Fail(TextOf(Where(graph.nodes[i]), " uses the value '", input,
                      "', which is not defined"));
        }
        if (maker->second) {
          users[*maker->second].push_back(i);
          ++waiting_for[i];
        }
      }
    }
    std::priority_queue<size_t, std::vector<size_t>, std::greater<>> ready;
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
      if (waiting_for[i] == 0) ready.push(i);
    }
    std::vector<Node> sorted;
    while (!ready.empty()) {
      const size_t next = ready.top();
      ready.pop();
      sorted.push_back(graph.nodes[next]);
      for (const size_t user : users[next]) {
        if (--waiting_for[user] == 0) ready.push(user);
      }
    }
    if (sorted.size() != graph.nodes.size()) {
      const auto stuck = std::find_if(waiting_for.begin(), waiting_for.end(),
                                      [](size_t count) { return count != 0; });
      Fail(TextOf(
          "value '",
          graph.nodes[static_cast<size_t>(stuck - waiting_for.begin())].output,
          "' depends on itself (the graph has a cycle)"));
    }
    return sorted;
  }

 private:
  [[noreturn]] void Fail(const std::string& cause,
                         ErrorCode code = ErrorCode::kDamaged) const {
    throw Error::InFile(file_, TextOf("graph: ", cause), code);
  }

  // What later versions may know.
  [[noreturn]] void FailUnknown(const std::string& cause) const {
    Fail(cause, ErrorCode::kUnsupported);
  }

  static std::string Where(const Node& node) {
    return TextOf(Name(node.op), " node '", node.output, "'");
  }

  void CheckOutputs(
      const Graph& graph,
      const std::map<std::string_view, std::optional<size_t>>& makers) const {
    if (graph.inputs.empty()) Fail("has no inputs");
    if (graph.outputs.empty()) Fail("has no outputs");
    std::map<std::string_view, int> seen;
    for (const std::string& output : graph.outputs) {
      if (!makers.contains(output)) {
        Fail(TextOf("output '", output, "' is not defined"));
      }
      if (++seen[output] > 1)
        Fail(TextOf("output '", output, "' is listed twice"));
    }
  }

  // Unknown keys could change the meaning, so they are refused.
  void CheckKeys(const json& object, const std::string& where,
                 std::initializer_list<std::string_view> allowed) const {
    if (!object.is_object()) Fail(TextOf(where, " is not a JSON object"));
    for (const auto& [key, value] : object.items()) {
      if (std::find(allowed.begin(), allowed.end(), key) == allowed.end()) {
        FailUnknown(TextOf(where, " has an unknown key '", key, "'"));
      }
    }
  }

  const json& Member(const json& object, const std::string& where,
                     const char* key) const {
    const auto member = object.find(key);
    if (member == object.end()) Fail(TextOf(where, " has no '", key, "'"));
    return *member;
  }

  const json& List(const json& object, const std::string& where,
                   const char* key, size_t limit) const {
    const json& list = Member(object, where, key);
    if (!list.is_array()) Fail(TextOf(where, ": '", key, "' is not a list"));
    if (list.size() > limit) {
      Fail(TextOf(where, ": '", key, "' has more than ", limit, " entries"));
    }
    return list;
  }

  std::string ReadName(const json& value, const std::string& where) const {
    if (!value.is_string()) Fail(TextOf(where, ": a name is not a string"));
    auto name = value.get<std::string>();
    if (name.empty()) Fail(TextOf(where, ": a name is empty"));
    // C strings hand names out.
    if (name.find('\0') != std::string::npos) {
      Fail(TextOf(where, ": a name holds a zero byte"));
    }
    return name;
  }

  GraphInput ReadInput(const json& entry) const {
    const std::string where = "input";
    CheckKeys(entry, where, {"name", "type", "shape"});
    GraphInput input;
    input.name = ReadName(Member(entry, where, "name"), where);
    const std::string named = TextOf(where, " '", input.name, "'");
    const std::string type =
        ReadName(Member(entry, named, "type"), TextOf(named, " type"));
    if (type == kInt32Name) {
      input.type = ValueType::kInt32;
    } else if (type != kFloat32Name) {
      FailUnknown(TextOf(named, " has the unknown type '", type, "'"));
    }
    for (const json& dimension : List(entry, named, "shape", kMaxPorts)) {
      // The range is checked where shapes get their meaning, by the model.
      if (!dimension.is_number_unsigned() ||
          !std::in_range<int64_t>(dimension.get<uint64_t>())) {
        Fail(TextOf(named, " has the dimension ", ShortDump(dimension),
                    ", which is not a count"));
      }
      input.shape.push_back(dimension.get<int64_t>());
    }
    return input;
  }

  const OperatorSchema& Schema(const std::string& node, OpType op) const {
    try {
      return GetOperator(op).schema();
    } catch (const Error& error) {  // LUTRA_OPERATORS leaves it out
      FailUnknown(TextOf(node, ": ", error.what()));
    }
  }

  Node ReadNode(const json& entry) const {
    const std::string where = "node";
    CheckKeys(entry, where,
              {"op", "inputs", "output", "weight", "bias", "attributes"});
    Node node;
    node.output = ReadName(Member(entry, where, "output"), where);
    const std::string named = TextOf(where, " '", node.output, "'");
    const std::string op =
        ReadName(Member(entry, named, "op"), TextOf(named, " op"));
    const std::optional<OpType> type = FindOperator(op);
    if (!type)
      FailUnknown(TextOf(named, " has the unknown operator '", op, "'"));
    node.op = *type;
    const OperatorSchema& schema = Schema(named, node.op);
    for (const json& input : List(entry, named, "inputs", kMaxPorts)) {
      node.inputs.push_back(ReadName(input, named));
    }
    if (node.inputs.size() != schema.inputs) {
      Fail(TextOf(Where(node), " has ", node.inputs.size(),
                  " inputs, expected ", schema.inputs));
    }
    node.weight = ReadTensorName(entry, node, "weight", schema.weight);
    node.bias = ReadTensorName(entry, node, "bias", schema.bias);
    ReadAttributes(entry, schema, node);
    return node;
  }

  void ReadAttributes(const json& entry, const OperatorSchema& op,
                      Node& node) const {
    if (const auto given = entry.find("attributes"); given != entry.end()) {
      if (!given->is_object())
        Fail(TextOf(Where(node), ": attributes are no object"));
      for (const auto& [name, value] : given->items()) {
        const AttributeSchema* row = FindAttribute(op, name);
        if (row == nullptr) {
          FailUnknown(
              TextOf(Where(node), " has an unknown attribute '", name, "'"));
        }
        node.attributes[name] = ReadAttribute(value, *row, node);
      }
    }
    for (const AttributeSchema& row : op.attributes) {
      if (row.required && !node.attributes.contains(row.name)) {
        Fail(TextOf(Where(node), " has no attribute '", row.name, "'"));
      }
    }
  }

  Attribute ReadAttribute(const json& value, const AttributeSchema& row,
                          const Node& node) const {
    // A kind that no attribute has is refused as an empty list.
    Attribute attribute = std::vector<int64_t>();
    if (value.is_number()) {
      attribute = value.get<double>();
    } else if (value.is_string()) {
      attribute = value.get<std::string>();
    } else if (value.is_array() &&
               std::all_of(value.begin(), value.end(), [](const json& element) {
                 return IsInteger(element);
               })) {
      attribute = value.get<std::vector<int64_t>>();
    }
    const std::string wrong = CheckAttribute(row, attribute);
    if (!wrong.empty()) {
      Fail(TextOf(Where(node), ": attribute '", row.name, "' ", wrong));
    }
    return attribute;
  }

  static bool IsInteger(const json& value) {
    return value.is_number_unsigned()
               ? std::in_range<int64_t>(value.get<uint64_t>())
               : value.is_number_integer();
  }

  std::string ReadTensorName(const json& entry, const Node& node,
                             const char* key, TensorUse use) const {
    const bool given = entry.contains(key);
    if (given && use == TensorUse::kNone)
      Fail(TextOf(Where(node), " takes no ", key));
    if (!given && use == TensorUse::kRequired) {
      Fail(TextOf(Where(node), " has no ", key));
    }
    return given ? ReadName(entry.at(key), Where(node)) : std::string();
  }

  std::string_view file_;
};

}  // namespace

kernels::CacheType ParseCacheType(std::string_view name) {
  const auto& names = kernels::kCacheTypeNames;
  const auto* found = std::find(std::begin(names), std::end(names), name);
  if (found == std::end(names)) {
    throw Error(UnknownWord("cache type", name, names));
  }
  return static_cast<kernels::CacheType>(found - names);
}

Graph ParseGraph(std::string_view json_text, std::string_view file) {
  GraphParser parser(file);
  Graph graph = parser.Parse(json_text);
  graph.nodes = parser.Sort(graph);
  return graph;
}

std::string GraphToJson(const Graph& graph) {
  ObjectWriter object;
  object.Add("inputs", ToJson(graph.inputs));
  object.Add("nodes", ToJson(graph.nodes));
  object.Add("outputs", ToJson(graph.outputs));
  if (graph.cache) object.Add("cache", ToJson(kernels::Name(*graph.cache)));
  return object.Text();
}

Graph Subgraph(const Graph& graph, const std::vector<std::string>& outputs) {
  Graph part;
  part.outputs = outputs;
  std::set<std::string_view> needed(outputs.begin(), outputs.end());
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    const Node& node = graph.nodes[i];
    if (!needed.contains(node.output)) continue;
    needed.insert(node.inputs.begin(), node.inputs.end());
    part.nodes.push_back(node);
  }
  std::reverse(part.nodes.begin(), part.nodes.end());
  for (const GraphInput& input : graph.inputs) {
    if (needed.contains(input.name)) part.inputs.push_back(input);
  }
  return part;
}

}  // namespace lutra
