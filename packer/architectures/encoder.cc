#include "packer/architectures/encoder.h"

#include <algorithm>
#include <cmath>

#include "packer/architectures/graph_builder.h"

namespace lutra::packer {
namespace {

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
  if (!network.output.empty()) network.ignored.push_back(network.output);
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
    // The mean of squares is the length's square over the width.
    const double factor = 1 / std::sqrt(static_cast<double>(width));
    x = graph.UnitNorm("unit", x, "lutra.unit", width,
                       static_cast<float>(factor), 0.0);
  }
  network.graph.nodes.back().output = "embedding";
  network.graph.outputs = {"embedding"};
}

}  // namespace lutra::packer
