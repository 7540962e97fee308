#include "lutra/qat/adapters.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include "lutra/runtime/error.h"
#include "lutra/runtime/random.h"
#include "qat/grad/matmul.h"

namespace lutra::qat {
namespace {

constexpr std::string_view kWeight = ".weight";

// "X.lora_A.weight" of "X.weight", as PEFT calls them.
std::string NameOf(std::string_view weight, const char* part) {
  if (weight.ends_with(kWeight)) weight.remove_suffix(kWeight.size());
  return std::string(weight) + "." + part + std::string(kWeight);
}

// The nodes of an adapter, by their places in the graph.
struct Places {
  size_t base;
  size_t a;
  size_t b;
  size_t scale;
  size_t sum;
};

std::map<std::string_view, size_t> Producers(const Graph& graph) {
  std::map<std::string_view, size_t> producers;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    producers[graph.nodes[i].output] = i;
  }
  return producers;
}

// If node `sum` adds an adapter to a linear node.
std::optional<Places> PlacesOf(
    const Graph& graph, const std::map<std::string_view, size_t>& producers,
    size_t sum) {
  const auto from = [&](size_t node, size_t input,
                        OpType op) -> std::optional<size_t> {
    const auto found = producers.find(graph.nodes[node].inputs[input]);
    if (found == producers.end() || graph.nodes[found->second].op != op) {
      return std::nullopt;
    }
    return found->second;
  };
  if (graph.nodes[sum].op != OpType::kAdd) return std::nullopt;
  const auto base = from(sum, 0, OpType::kLinear);
  const auto scale = from(sum, 1, OpType::kScale);
  if (!base || !scale) return std::nullopt;
  const auto b = from(*scale, 0, OpType::kLinear);
  if (!b) return std::nullopt;
  const auto a = from(*b, 0, OpType::kLinear);
  if (!a) return std::nullopt;
  const Node& layer = graph.nodes[*base];
  if (graph.nodes[*a].inputs[0] != layer.inputs[0] ||
      graph.nodes[*a].weight != NameOf(layer.weight, "lora_A") ||
      graph.nodes[*b].weight != NameOf(layer.weight, "lora_B")) {
    return std::nullopt;
  }
  return Places{*base, *a, *b, *scale, sum};
}

std::vector<Places> FindPlaces(const Graph& graph) {
  const auto producers = Producers(graph);
  std::vector<Places> all;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (const auto places = PlacesOf(graph, producers, i)) {
      all.push_back(*places);
    }
  }
  return all;
}

Adapter AdapterAt(const Graph& graph, const Places& places) {
  return {graph.nodes[places.base].weight, graph.nodes[places.a].weight,
          graph.nodes[places.b].weight,
          NumberAttribute(graph.nodes[places.scale], "factor")};
}

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

void AddTensors(const AdapterOptions& options, const Adapter& adapter,
                uint64_t stream, TrainableModel& model) {
  const Tensor& w = model.parameters.find(adapter.weight)->second;
  const int64_t n = w.shape[0];
  const int64_t k = w.shape[1];
  const auto rank = static_cast<int64_t>(options.rank);
  if (rank < 1 || rank >= std::min(n, k)) {
    throw Error("tensor '" + adapter.weight + "': an adapter of rank " +
                std::to_string(options.rank) +
                " needs to be smaller than the weight of " + std::to_string(n) +
                " x " + std::to_string(k));
  }
  Tensor a({rank, k});
  Random random(options.seed, stream);
  const float bound = 1.0f / std::sqrt(static_cast<float>(k));
  for (float& value : a.values) value = bound * random.Symmetric();
  model.parameters.emplace(adapter.a, std::move(a));
  model.parameters.emplace(adapter.b, Tensor({n, rank}));
}

}  // namespace

std::vector<Adapter> AddAdapters(const AdapterOptions& options,
                                 TrainableModel& model) {
  std::vector<Adapter> added;
  std::vector<Node> nodes;
  for (Node& node : model.graph.nodes) {
    if (!IsTarget(options, model.graph, node)) {
      nodes.push_back(node);
      continue;
    }
    const Adapter adapter{node.weight, NameOf(node.weight, "lora_A"),
                          NameOf(node.weight, "lora_B"), options.factor};
    if (model.parameters.contains(adapter.a)) {
      throw Error("tensor '" + node.weight +
                  "': has an adapter, or is used by two layers");
    }
    AddTensors(options, adapter, added.size() + 1, model);
    added.push_back(adapter);
    const std::string y = node.output;
    Node base = node;
    base.output = y + ".base";
    const std::string low = y + ".lora_A";
    const std::string high = y + ".lora_B";
    const std::string scaled = y + ".lora";
    nodes.push_back(base);
    nodes.push_back({OpType::kLinear, {node.inputs[0]}, low, adapter.a, ""});
    nodes.push_back({OpType::kLinear, {low}, high, adapter.b, ""});
    nodes.push_back(
        {OpType::kScale, {high}, scaled, "", "", {{"factor", adapter.factor}}});
    nodes.push_back({OpType::kAdd, {base.output, scaled}, y, "", ""});
  }
  if (added.empty())
    throw Error("no linear layer has a weight that is to get an adapter");
  model.graph.nodes = std::move(nodes);
  return added;
}

std::vector<Adapter> FindAdapters(const Graph& graph) {
  std::vector<Adapter> adapters;
  for (const Places& places : FindPlaces(graph)) {
    adapters.push_back(AdapterAt(graph, places));
  }
  return adapters;
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
  const std::vector<Places> all = FindPlaces(model.graph);
  if (all.empty()) throw Error("the model has no adapters");
  for (const Places& places : all) {
    const std::string& weight = model.graph.nodes[places.base].weight;
    if (!model.packed.contains(weight)) continue;
    throw Error("tensor '" + weight +
                "': is packed, and its adapter cannot be merged into it: what "
                "comes out would lie on no grid");
  }
  std::vector<bool> gone(model.graph.nodes.size(), false);
  for (const Places& places : all) {
    const Adapter adapter = AdapterAt(model.graph, places);
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
    model.graph.nodes[places.base].output =
        model.graph.nodes[places.sum].output;
    for (const size_t node : {places.a, places.b, places.scale, places.sum}) {
      gone[node] = true;
    }
  }
  std::vector<Node> nodes;
  for (size_t i = 0; i < gone.size(); ++i) {
    if (!gone[i]) nodes.push_back(std::move(model.graph.nodes[i]));
  }
  model.graph.nodes = std::move(nodes);
}

}  // namespace lutra::qat
