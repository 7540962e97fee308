#include "lutra/qat/adapters.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "lutra/runtime/error.h"
#include "lutra/runtime/random.h"
#include "qat/grad/matmul.h"

namespace lutra::qat {
namespace {

bool IsTarget(const AdapterOptions& options, const Graph& graph,
              const Node& node) {
  if (node.op != OpType::kLinear) return false;
  if (options.targets.empty()) {
    return std::find(graph.outputs.begin(), graph.outputs.end(), node.output) ==
           graph.outputs.end();
  }
  return std::any_of(
      options.targets.begin(), options.targets.end(),
      [&](const NamePattern& pattern) { return pattern.IsIn(node.weight); });
}

void CheckRank(const AdapterOptions& options, const std::string& weight,
               const TensorMap& parameters) {
  const Tensor& w = parameters.find(weight)->second;
  const auto rank = static_cast<int64_t>(options.rank);
  if (rank < 1 || rank >= std::min(w.shape[0], w.shape[1])) {
    throw Error("tensor '" + weight + "': an adapter of rank " +
                std::to_string(options.rank) +
                " needs to be smaller than the weight of " +
                std::to_string(w.shape[0]) + " x " +
                std::to_string(w.shape[1]));
  }
}

void AddTensors(const AdapterOptions& options, const Adapter& adapter,
                uint64_t stream, TensorMap& parameters) {
  const std::vector<int64_t> shape =
      parameters.find(adapter.weight)->second.shape;
  const auto rank = static_cast<int64_t>(options.rank);
  Tensor a({rank, shape[1]});
  Random random(options.seed, stream);
  const float bound = 1.0f / std::sqrt(static_cast<float>(shape[1]));
  for (float& value : a.values) value = bound * random.Symmetric();
  parameters.emplace(adapter.a, std::move(a));
  parameters.emplace(adapter.b, Tensor({shape[0], rank}));
}

}  // namespace

std::vector<Adapter> AddAdapters(const AdapterOptions& options,
                                 TrainableModel& model) {
  std::vector<Adapter> added;
  for (const Node& node : model.graph.nodes) {
    if (!IsTarget(options, model.graph, node)) continue;
    CheckRank(options, node.weight, model.parameters);
    added.push_back(AdapterOf(node.weight, options.factor));
  }
  if (added.empty())
    throw Error("no linear layer has a weight that is to get an adapter");
  lutra::AddAdapters(added, model.graph);
  for (size_t i = 0; i < added.size(); ++i) {
    AddTensors(options, added[i], i + 1, model.parameters);
  }
  return added;
}

std::set<std::string, std::less<>> AllButAdapters(const TrainableModel& model) {
  std::set<std::string, std::less<>> others;
  for (const auto& [name, tensor] : model.parameters) others.insert(name);
  for (const Adapter& adapter : FindAdapters(model.graph)) {
    others.erase(adapter.a);
    others.erase(adapter.b);
  }
  return others;
}

void MergeAdapters(TrainableModel& model, Executor* executor) {
  const std::vector<Adapter> adapters = FindAdapters(model.graph);
  if (adapters.empty()) throw Error("the model has no adapters");
  for (const Adapter& adapter : adapters) {
    if (!model.packed.contains(adapter.weight)) continue;
    throw Error("tensor '" + adapter.weight +
                "': is packed, and its adapter cannot be merged into it: what "
                "comes out would lie on no grid");
  }
  for (const Adapter& adapter : adapters) {
    Tensor& w = model.parameters.find(adapter.weight)->second;
    const Tensor& a = model.parameters.find(adapter.a)->second;
    Tensor& b = model.parameters.find(adapter.b)->second;
    for (float& value : b.values) value *= static_cast<float>(adapter.factor);
    MatMul({b.values.data()}, {a.values.data()},
           static_cast<size_t>(w.shape[0]), static_cast<size_t>(w.shape[1]),
           static_cast<size_t>(a.shape[0]), /*accumulate=*/true,
           {w.values.data()}, executor);
    model.parameters.erase(adapter.a);
    model.parameters.erase(adapter.b);
  }
  RemoveAdapters(model.graph);
}

}  // namespace lutra::qat
