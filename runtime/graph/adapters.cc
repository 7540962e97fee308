#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lutra/runtime/adapter.h"
#include "lutra/runtime/error.h"
#include "runtime/base/text_of.h"

namespace lutra {
namespace {

constexpr std::string_view kWeight = ".weight";

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
  const Adapter names = AdapterOf(layer.weight, 1);
  if (graph.nodes[*a].inputs[0] != layer.inputs[0] ||
      graph.nodes[*a].weight != names.a || graph.nodes[*b].weight != names.b) {
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

// The places of linear nodes by their weight.
std::map<std::string_view, std::vector<size_t>> LayersByWeight(
    const Graph& graph) {
  std::map<std::string_view, std::vector<size_t>> layers;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (node.op == OpType::kLinear) layers[node.weight].push_back(i);
  }
  return layers;
}

[[noreturn]] void Fail(const Adapter& adapter, const char* why) {
  throw Error(TextOf("tensor '", adapter.weight, "': ", why));
}

}  // namespace

Adapter AdapterOf(std::string_view weight, double factor) {
  std::string_view layer = weight;
  if (layer.size() >= kWeight.size() &&
      layer.substr(layer.size() - kWeight.size()) == kWeight) {
    layer.remove_suffix(kWeight.size());
  }
  const std::string stem(layer);
  return {std::string(weight), TextOf(stem, ".lora_A.weight"),
          TextOf(stem, ".lora_B.weight"), factor};
}

std::vector<Adapter> FindAdapters(const Graph& graph) {
  std::vector<Adapter> adapters;
  for (const Places& places : FindPlaces(graph)) {
    adapters.push_back({graph.nodes[places.base].weight,
                        graph.nodes[places.a].weight,
                        graph.nodes[places.b].weight,
                        NumberAttribute(graph.nodes[places.scale], "factor")});
  }
  return adapters;
}

void AddAdapters(const std::vector<Adapter>& adapters, Graph& graph) {
  const auto layers = LayersByWeight(graph);
  std::map<size_t, const Adapter*> of_node;
  for (const Adapter& adapter : adapters) {
    const auto found = layers.find(adapter.weight);
    if (found == layers.end()) Fail(adapter, "no linear layer has it");
    if (found->second.size() > 1) {
      Fail(adapter, "two layers use it, which an adapter cannot tell apart");
    }
    if (layers.count(adapter.a) > 0 ||
        !of_node.emplace(found->second[0], &adapter).second) {
      Fail(adapter, "has an adapter already");
    }
  }
  std::vector<Node> nodes;
  nodes.reserve(graph.nodes.size() + 4 * adapters.size());
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    Node& base = graph.nodes[i];
    const auto found = of_node.find(i);
    if (found == of_node.end()) {
      nodes.push_back(std::move(base));
      continue;
    }
    const Adapter& adapter = *found->second;
    const std::string x = base.inputs[0];
    const std::string y = base.output;
    const std::string low = TextOf(y, ".lora_A");
    const std::string high = TextOf(y, ".lora_B");
    const std::string scaled = TextOf(y, ".lora");
    base.output = TextOf(y, ".base");
    nodes.push_back(std::move(base));
    nodes.push_back({OpType::kLinear, {x}, low, adapter.a, ""});
    nodes.push_back({OpType::kLinear, {low}, high, adapter.b, ""});
    nodes.push_back(
        {OpType::kScale, {high}, scaled, "", "", {{"factor", adapter.factor}}});
    nodes.push_back({OpType::kAdd, {TextOf(y, ".base"), scaled}, y, "", ""});
  }
  graph.nodes = std::move(nodes);
}

void RemoveAdapters(Graph& graph) {
  std::vector<bool> gone(graph.nodes.size(), false);
  for (const Places& places : FindPlaces(graph)) {
    graph.nodes[places.base].output = graph.nodes[places.sum].output;
    for (const size_t node : {places.a, places.b, places.scale, places.sum}) {
      gone[node] = true;
    }
  }
  std::vector<Node> nodes;
  for (size_t i = 0; i < gone.size(); ++i) {
    if (!gone[i]) nodes.push_back(std::move(graph.nodes[i]));
  }
  graph.nodes = std::move(nodes);
}

}  // namespace lutra
