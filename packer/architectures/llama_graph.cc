#include "packer/architectures/llama_graph.h"

#include <set>
#include <utility>

namespace lutra::packer {
namespace {

using Role = LlamaTensor::Role;

// Appends nodes and notes the tensors they use.
class Builder {
 public:
  explicit Builder(const LlamaConfig& config) : config_(config) {}

  void Build() {
    graph_.inputs = {{"ids", ValueType::kInt32, {}}};
    graph_.outputs = {"logits"};
    Node& embedding = Add(OpType::kEmbedding, {"ids"}, "x");
    embedding.weight = config_.embedding;
    Use(config_.embedding, Role::kMatrix, {config_.vocab, config_.dim});
    std::string x = "x";
    for (int64_t layer = 0; layer < config_.layers; ++layer) {
      prefix_ = "model.layers." + std::to_string(layer) + ".";
      value_ = "layer" + std::to_string(layer) + ".";
      x = Feed(Attend(x));
    }
    prefix_ = "model.";
    value_.clear();
    const std::string normed = Norm(x, "norm");
    Node& output = Add(OpType::kLinear, {normed}, "logits");
    output.weight = config_.output;
    Use(config_.output, Role::kMatrix, {config_.vocab, config_.dim});
  }

  Graph TakeGraph() { return std::move(graph_); }
  std::vector<LlamaTensor> TakeTensors() { return std::move(tensors_); }

 private:
  // x plus what attention makes of it.
  std::string Attend(const std::string& x) {
    const int64_t q_dim = config_.query_dim();
    const int64_t kv_dim = config_.key_value_dim();
    const bool bias = config_.query_key_value_bias;
    const std::string normed = Norm(x, "input_layernorm");
    const std::string q =
        Linear(normed, "self_attn.q_proj", q_dim, config_.dim, bias);
    const std::string k =
        Linear(normed, "self_attn.k_proj", kv_dim, config_.dim, bias);
    const std::string v =
        Linear(normed, "self_attn.v_proj", kv_dim, config_.dim, bias);
    const std::string output = value_ + "attention";
    Node& attention =
        Add(OpType::kAttention, {Rotate(q), Rotate(k), v}, output);
    attention.attributes["heads"] = static_cast<double>(config_.heads);
    attention.attributes["kv_heads"] = static_cast<double>(config_.kv_heads);
    if (config_.window > 0) {
      attention.attributes["window"] = static_cast<double>(config_.window);
    }
    const std::string o = Linear(output, "self_attn.o_proj", config_.dim, q_dim,
                                 config_.attention_output_bias);
    return Output(OpType::kAdd, {x, o}, "attended");
  }

  // x plus what the feed-forward layers make of it.
  std::string Feed(const std::string& x) {
    const std::string normed = Norm(x, "post_attention_layernorm");
    const std::string gate = Linear(normed, "mlp.gate_proj", config_.hidden,
                                    config_.dim, config_.mlp_bias);
    const std::string up = Linear(normed, "mlp.up_proj", config_.hidden,
                                  config_.dim, config_.mlp_bias);
    const std::string active = Output(config_.activation, {gate}, "mlp.active");
    const std::string product =
        Output(OpType::kMul, {active, up}, "mlp.product");
    const std::string down = Linear(product, "mlp.down_proj", config_.dim,
                                    config_.hidden, config_.mlp_bias);
    return Output(OpType::kAdd, {x, down}, "output");
  }

  std::string Norm(const std::string& x, const std::string& name) {
    std::string output = value_ + name;
    Node& norm = Add(OpType::kRmsNorm, {x}, output);
    norm.weight = prefix_ + name + ".weight";
    norm.attributes["eps"] = config_.norm_eps;
    Use(norm.weight, Role::kNorm, {config_.dim});
    return output;
  }

  std::string Linear(const std::string& x, const std::string& name, int64_t n,
                     int64_t k, bool bias) {
    std::string output = value_ + name;
    Node& linear = Add(OpType::kLinear, {x}, output);
    linear.weight = prefix_ + name + ".weight";
    Use(linear.weight, Role::kMatrix, {n, k});
    if (bias) {
      linear.bias = prefix_ + name + ".bias";
      Use(linear.bias, Role::kBias, {n});
    }
    return output;
  }

  std::string Rotate(const std::string& x) {
    std::string output = x + ".rotated";
    Node& rope = Add(OpType::kRope, {x}, output);
    rope.weight = config_.rope;
    rope.attributes["head_dim"] = static_cast<double>(config_.head_dim);
    rope.attributes["pairing"] =
        std::string(config_.adjacent_pairs ? "adjacent" : "half");
    Use(config_.rope, Role::kRope, {config_.rotary_dim / 2});
    return output;
  }

  std::string Output(OpType op, std::vector<std::string> inputs,
                     const std::string& name) {
    Add(op, std::move(inputs), value_ + name);
    return value_ + name;
  }

  // Valid until the next node is added.
  Node& Add(OpType op, std::vector<std::string> inputs, std::string output) {
    Node node;
    node.op = op;
    node.inputs = std::move(inputs);
    node.output = std::move(output);
    return graph_.nodes.emplace_back(std::move(node));
  }

  void Use(const std::string& name, Role role, std::vector<int64_t> shape) {
    if (!used_.insert(name).second) return;
    tensors_.push_back({name, role, std::move(shape)});
  }

  const LlamaConfig& config_;
  Graph graph_;
  std::vector<LlamaTensor> tensors_;
  std::set<std::string> used_;
  std::string prefix_;  // of tensors
  std::string value_;   // of values
};

}  // namespace

Graph LlamaGraph(const LlamaConfig& config) {
  Builder builder(config);
  builder.Build();
  return builder.TakeGraph();
}

std::vector<LlamaTensor> LlamaTensors(const LlamaConfig& config) {
  Builder builder(config);
  builder.Build();
  return builder.TakeTensors();
}

}  // namespace lutra::packer
