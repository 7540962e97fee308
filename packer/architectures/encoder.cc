#include "packer/architectures/encoder.h"

#include <algorithm>
#include <cmath>

#include "packer/architectures/graph_builder.h"

namespace lutra::packer {
namespace {

using Role = NetworkTensor::Role;

// Nodes behind the hidden states, and tensors that they alone use.
void CutHead(Network& network) {
  std::vector<Node>& nodes = network.graph.nodes;
  while (nodes.back().output != network.hidden) nodes.pop_back();
  std::erase_if(network.tensors, [&](const NetworkTensor& tensor) {
    return std::none_of(nodes.begin(), nodes.end(), [&](const Node& node) {
      return node.weight == tensor.name || node.bias == tensor.name;
    });
  });
  // Files of some encoders have it nevertheless.
  network.ignored.push_back(network.output);
  network.tied = false;
}

}  // namespace

void MakeEncoder(const EncoderHead& head, Network& network) {
  CutHead(network);
  GraphBuilder graph(network);
  std::string x = network.hidden;
  int64_t width = network.width;
  if (head.pool != EncoderHead::Pool::kLast) {
    Node& node = graph.Add(OpType::kTokenPool, {x}, "pooled");
    node.attributes["over"] =
        std::string(head.pool == EncoderHead::Pool::kMean ? "mean" : "first");
    x = "pooled";
  }
  for (size_t i = 0; i < head.dense.size(); ++i) {
    const EncoderHead::Dense& dense = head.dense[i];
    const std::string name = "dense" + std::to_string(i);
    x = graph.Linear(name, x, dense.weight, dense.outputs, dense.inputs,
                     dense.bias);
    if (dense.activation) {
      x = graph.Output(*dense.activation, {x}, name + ".active");
    }
    width = dense.outputs;
  }
  if (head.unit_length) {
    // x / sqrt(mean of squares), times 1 / sqrt(width).
    Node& node = graph.Add(OpType::kRmsNorm, {x}, "unit");
    node.weight = "lutra.unit";
    node.attributes["eps"] = 0.0;
    const auto n = static_cast<size_t>(width);
    graph.Make(
        "lutra.unit", Role::kRope,
        std::vector<float>(
            n, static_cast<float>(1 / std::sqrt(static_cast<double>(n)))));
    x = "unit";
  }
  network.graph.nodes.back().output = "embedding";
  network.graph.outputs = {"embedding"};
}

}  // namespace lutra::packer
