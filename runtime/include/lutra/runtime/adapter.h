#ifndef LUTRA_RUNTIME_ADAPTER_H_
#define LUTRA_RUNTIME_ADAPTER_H_

#include <string>
#include <string_view>
#include <vector>

#include "lutra/runtime/graph.h"

// Low-rank adapters (Hu et al., "LoRA: Low-Rank Adaptation of Large Language
// Models", 2021): y = W x becomes y = W x + factor * B (A x), with A [rank, K]
// and B [N, rank]. In a graph they are nodes like all others, beside the linear
// node that they belong to, so that programs run them with whatever W is,
// packed or not. LoadOptions::adapter puts those of a folder beside the layers
// of a model that is loaded.

namespace lutra {

struct Adapter {
  std::string weight;  // W's name
  std::string a;       // "X.lora_A.weight" where W is "X.weight"
  std::string b;       // "X.lora_B.weight"
  double factor = 1;   // often called alpha / rank
};

// The adapter of a weight, with its tensors' names.
Adapter AdapterOf(std::string_view weight, double factor);

// Those of a graph, in its order.
std::vector<Adapter> FindAdapters(const Graph& graph);

// Adds the nodes of adapters; their tensors are the caller's affair. Throws
// Error, and changes nothing, unless each weight is that of exactly one linear
// node, which has no adapter yet.
void AddAdapters(const std::vector<Adapter>& adapters, Graph& graph);

// Removes the nodes of all adapters.
void RemoveAdapters(Graph& graph);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_ADAPTER_H_
