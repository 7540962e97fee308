#ifndef LUTRA_RUNTIME_GRAPH_H_
#define LUTRA_RUNTIME_GRAPH_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// The graph is the spine: the trainer differentiates it, the packer replaces
// the weights of its linear and embedding nodes, the session executes it.
//
// Values are matrices [M, ...]: the first dimension is the number of tokens (or
// images) of a call and is left out of the shapes here.

namespace lutra {

enum class OpType {
  kLinear,     // x [K] -> [N]; weight [N, K], optional bias [N]
  kEmbedding,  // int32 ids [] -> [K]; weight [N, K], one row per id
  kRelu,       // max(x, 0)
  kGelu,       // x * Phi(x), with the exact error function
  kSilu,       // x / (1 + exp(-x))
  kAdd,        // a + b, same shape
  kMul,        // a * b, same shape
  kSoftmax,    // over the last dimension
};

enum class ValueType { kFloat32, kInt32 };

struct GraphInput {
  std::string name;
  ValueType type = ValueType::kFloat32;
  std::vector<int64_t> shape;  // without the token dimension; [] for ids
};

struct Node {
  OpType op = OpType::kLinear;
  std::vector<std::string> inputs;  // names of values
  std::string output;
  std::string weight;  // names of tensors in the model file; empty if none
  std::string bias;
};

struct Graph {
  std::vector<GraphInput> inputs;
  std::vector<Node> nodes;           // in an order that can be executed
  std::vector<std::string> outputs;  // names of values
};

// The operator's name in the file, e.g. "linear".
std::string_view Name(OpType op);
// Number of value inputs the operator takes.
size_t InputCount(OpType op);
bool HasWeight(OpType op);

// Reads the JSON of `lutra.graph` (docs/model_file.md). Checks operators,
// counts, that every value is defined before it is used and only once. Nodes
// may come in any order without cycles; the result is sorted. Throws Error
// naming `file`.
Graph ParseGraph(std::string_view json, std::string_view file);
std::string GraphToJson(const Graph& graph);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_GRAPH_H_
