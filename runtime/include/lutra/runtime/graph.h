#ifndef LUTRA_RUNTIME_GRAPH_H_
#define LUTRA_RUNTIME_GRAPH_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "lutra/kernels/cache_type.h"
#include "lutra/runtime/op_type.h"

// The graph is the spine: the trainer differentiates it, the packer replaces
// weights of its nodes (see IsPackable), the session executes it.
//
// Values are matrices [M, ...]: the first dimension is the number of tokens (or
// images) of a call and is left out of the shapes here. docs/model_file.md says
// what each operator computes and which attributes it has.

namespace lutra {

enum class ValueType { kFloat32, kInt32 };

struct GraphInput {
  std::string name;
  ValueType type = ValueType::kFloat32;
  std::vector<int64_t> shape;  // without the token dimension; [] for ids
};

// Numbers, whole or not, are doubles.
using Attribute = std::variant<double, std::string, std::vector<int64_t>>;
using Attributes = std::map<std::string, Attribute, std::less<>>;

struct Node {
  OpType op = OpType::kLinear;
  std::vector<std::string> inputs;  // names of values
  std::string output;
  std::string weight;  // names of tensors in the model file; empty if none
  std::string bias;
  Attributes attributes = {};  // those of the operator
};

struct Graph {
  std::vector<GraphInput> inputs;
  std::vector<Node> nodes;           // in an order that can be executed
  std::vector<std::string> outputs;  // names of values
  // How attention keeps keys and values where nobody says otherwise; nullopt:
  // float16 in programs, float32 in training.
  std::optional<kernels::CacheType> cache = std::nullopt;
};

// "float32", "float16" or "int8"; throws Error that suggests the nearest.
kernels::CacheType ParseCacheType(std::string_view name);

// The operator's name in the file, e.g. "linear".
std::string_view Name(OpType op);
// Number of value inputs the operator takes.
size_t InputCount(OpType op);
bool HasWeight(OpType op);
// Whether the weight is a matrix [N, K] that may be packed, as that of linear,
// embedding, conv2d and lstm_cell. The weights of other operators stay float.
bool IsPackable(OpType op);
// Whether the operator remembers earlier tokens, as attention and lstm_cell. In
// a graph that has one the rows of a call are consecutive tokens of a sequence;
// else they are independent.
bool IsStateful(OpType op);

// The node's attribute, or what it is if not given. Throws Error if the
// operator has none of this name, if it must be given, or is of another kind.
double NumberAttribute(const Node& node, std::string_view name);
size_t CountAttribute(const Node& node, std::string_view name);
std::string WordAttribute(const Node& node, std::string_view name);
std::vector<int64_t> ListAttribute(const Node& node, std::string_view name);

// Reads the JSON of `lutra.graph` (docs/model_file.md). Checks operators, their
// attributes, counts, that every value is defined, and only once. Nodes
// may come in any order without cycles; the result is sorted. Throws Error
// naming `file`.
Graph ParseGraph(std::string_view json, std::string_view file);
std::string GraphToJson(const Graph& graph);

// The nodes of the graph that `outputs` need, with these outputs.
Graph Subgraph(const Graph& graph, const std::vector<std::string>& outputs);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_GRAPH_H_
