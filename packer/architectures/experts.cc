#include "packer/architectures/experts.h"

#include <utility>

#include "packer/architectures/decoder_config.h"

namespace lutra::packer {
namespace {

using Role = NetworkTensor::Role;
using Stored = Experts::Stored;

enum class Which { kGate, kUp, kDown };

// The rows of one expert's matrix.
TensorPart PartOf(Decoder& d, const Experts& experts, Which which, int64_t e) {
  const int64_t dim = d.config().dim;
  const int64_t hidden = experts.hidden;
  const bool down = which == Which::kDown;
  TensorPart part;
  if (experts.stored == Stored::kSeparate) {
    const std::string& name = which == Which::kGate ? experts.gate
                              : which == Which::kUp ? experts.up
                                                    : experts.down;
    part.name =
        d.Tensor(experts.prefix + std::to_string(e) + "." + name + ".weight");
    part.stored = down ? std::vector<int64_t>{dim, hidden}
                       : std::vector<int64_t>{hidden, dim};
    return part;
  }
  part.name = d.Tensor(down ? experts.stacked_down : experts.gate_up);
  part.index = e;
  part.count = down ? dim : hidden;
  if (experts.stored == Stored::kStacked) {
    part.stored = down ? std::vector<int64_t>{experts.count, dim, hidden}
                       : std::vector<int64_t>{experts.count, 2 * hidden, dim};
    part.first = which == Which::kUp ? hidden : 0;
  } else {
    part.stored = down ? std::vector<int64_t>{experts.count, hidden, dim}
                       : std::vector<int64_t>{experts.count, dim, 2 * hidden};
    part.transposed = true;
    part.first = which == Which::kUp ? 1 : 0;
    part.step = down ? 1 : 2;
  }
  return part;
}

// Of a bias [E, rows of an expert].
TensorPart BiasOf(const Decoder& d, const Experts& experts, Which which,
                  int64_t e) {
  const bool down = which == Which::kDown;
  TensorPart part;
  part.name =
      d.Tensor((down ? experts.stacked_down : experts.gate_up) + "_bias");
  part.stored = {experts.count, down ? d.config().dim : 2 * experts.hidden};
  part.index = e;
  part.transposed = true;  // a row is our column
  part.count = down ? d.config().dim : experts.hidden;
  part.first = which == Which::kUp ? 1 : 0;
  part.step = down ? 1 : 2;
  return part;
}

std::string Multiply(Decoder& d, const Experts& experts, Which which,
                     const std::string& x, const std::string& routes) {
  const bool down = which == Which::kDown;
  const std::string name = which == Which::kGate ? experts.gate
                           : which == Which::kUp ? experts.up
                                                 : experts.down;
  const std::string output = d.Value("experts." + name);
  const std::string weight = d.Tensor(experts.prefix + name + ".weight");
  const int64_t n = down ? d.config().dim : experts.hidden;
  const int64_t k = down ? experts.hidden : d.config().dim;
  std::vector<TensorPart> parts;
  std::vector<TensorPart> bias_parts;
  for (int64_t e = 0; e < experts.count; ++e) {
    parts.push_back(PartOf(d, experts, which, e));
    if (experts.bias) bias_parts.push_back(BiasOf(d, experts, which, e));
  }
  Node& node = d.graph().Add(OpType::kExpertLinear, {x, routes}, output);
  node.attributes["experts"] = static_cast<double>(experts.count);
  node.weight = weight;
  if (experts.bias) node.bias = d.Tensor(experts.prefix + name + ".bias");
  const std::string bias = node.bias;
  d.graph().Use(weight, Role::kMatrix, {experts.count * n, k},
                std::move(parts));
  if (experts.bias) {
    d.graph().Use(bias, Role::kBias, {experts.count * n},
                  std::move(bias_parts));
  }
  return output;
}

}  // namespace

Experts ReadExperts(const JsonObject& config, const DecoderConfig& decoder,
                    int64_t count, int64_t chosen) {
  Experts experts;
  experts.count =
      config.Integer("num_local_experts", 1, kMaxParts,
                     config.Integer("num_experts", 1, kMaxParts, count));
  CheckParts(config, "num_experts", experts.count, decoder);
  experts.chosen =
      config.Integer("num_experts_per_tok", 1, experts.count, chosen);
  return experts;
}

std::string Route(Decoder& d, const Experts& experts,
                  const std::string& router_input, const std::string& x) {
  GraphBuilder& graph = d.graph();
  const std::string logits =
      d.Linear(router_input, experts.router, experts.count, d.config().dim,
               experts.router_bias);
  const std::string routes = d.Value("routes");
  Node& node = graph.Add(OpType::kRoute, {logits}, routes);
  node.attributes["count"] = static_cast<double>(experts.chosen);
  node.attributes["over"] = std::string(experts.over_all ? "all" : "chosen");
  if (!experts.router_scale.empty()) {
    node.weight = d.Tensor(experts.router_scale);
    graph.Use(d.Tensor(experts.router_scale), Role::kBias, {experts.count});
  }
  const std::string gate = Multiply(d, experts, Which::kGate, x, routes);
  const std::string up = Multiply(d, experts, Which::kUp, x, routes);
  std::string product;
  if (experts.combine) {
    product = experts.combine(d, gate, up);
  } else {
    const std::string active =
        graph.Output(d.config().activation, {gate}, d.Value("experts.active"));
    product =
        graph.Output(OpType::kMul, {active, up}, d.Value("experts.product"));
  }
  const std::string outputs =
      Multiply(d, experts, Which::kDown, product, routes);
  return graph.Output(OpType::kExpertSum, {outputs, routes},
                      d.Value("experts.sum"));
}

}  // namespace lutra::packer
