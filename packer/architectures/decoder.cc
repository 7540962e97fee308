#include "packer/architectures/decoder.h"

#include <utility>

namespace lutra::packer {
namespace {

using Role = NetworkTensor::Role;
using QkNorm = DecoderConfig::QkNorm;

// Rows of a matrix of the checkpoint.
TensorPart RowsOf(const std::string& name, std::vector<int64_t> stored,
                  int64_t first, int64_t count) {
  TensorPart part;
  part.name = name;
  part.stored = std::move(stored);
  part.first = first;
  part.count = count;
  return part;
}

}  // namespace

Decoder::Decoder(const DecoderConfig& config)
    : config_(config), graph_(network_) {}

Network Decoder::Build(const DecoderConfig& config) {
  Decoder decoder(config);
  decoder.Run();
  return std::move(decoder.network_);
}

void Decoder::Run() {
  const DecoderNames& names = config_.names;
  network_.architecture = config_.architecture;
  network_.vocab = config_.vocab;
  network_.layers = static_cast<int64_t>(config_.layers.size());
  network_.context = config_.context;
  network_.embedding = names.embedding;
  network_.output = names.output;
  network_.tied = config_.tied;
  network_.ignored = config_.ignored;
  network_.graph.inputs = {{"ids", ValueType::kInt32, {}}};
  network_.graph.outputs = {"logits"};

  graph_.Add(OpType::kEmbedding, {"ids"}, "x").weight = names.embedding;
  graph_.Use(names.embedding, Role::kMatrix, {config_.vocab, config_.dim});
  std::string x = graph_.Scale("x.scaled", "x", config_.embedding_scale);
  if (!names.positions.empty()) {
    Node& node = graph_.Add(OpType::kPositionEmbedding, {x}, "x.placed");
    node.weight = names.positions;
    NetworkTensor& table = graph_.Use(names.positions, Role::kBias,
                                      {config_.positions, config_.dim});
    if (!names.token_types.empty()) {
      table.added =
          RowsOf(names.token_types, {config_.token_types, config_.dim}, 0, 1);
    }
    x = "x.placed";
  }
  if (!names.embedding_norm.empty()) x = Norm(x, names.embedding_norm);
  if (config_.begin) x = config_.begin(*this, x);
  for (size_t i = 0; i < config_.layers.size(); ++i) {
    BeginLayer(i);
    x = Layer(i, x);
    if (config_.finish) x = config_.finish(*this, i, x);
  }
  prefix_.clear();
  value_.clear();
  if (!names.final_norm.empty()) x = Norm(x, names.final_norm);
  network_.hidden = x;
  network_.width = config_.dim;
  network_.both_directions = config_.both_directions;
  if (names.output.empty()) {
    network_.encodes = true;
    network_.graph.outputs = {x};
    return;
  }
  const bool plain = config_.logits_scale == 1 && config_.logits_soft_cap == 0;
  x = graph_.Linear(plain ? "logits" : "logits.product", x, names.output,
                    config_.vocab, config_.dim, "");
  const bool scaled = config_.logits_soft_cap == 0;
  x = graph_.Scale(scaled ? "logits" : "logits.scaled", x,
                   config_.logits_scale);
  graph_.SoftCap("logits", x, config_.logits_soft_cap);
}

void Decoder::BeginLayer(size_t i) {
  prefix_ = config_.names.layer + std::to_string(i) + ".";
  value_ = "layer" + std::to_string(i) + ".";
}

std::string Decoder::Layer(size_t i, const std::string& x) {
  const DecoderNames& names = config_.names;
  const auto normed = [this](const std::string& value,
                             const std::string& name) {
    return name.empty() ? value : Norm(value, name);
  };
  const std::string input = normed(x, names.attention_norm);
  const std::string attention =
      Branch(Attend(i, input), names.attended_norm, "attention.part");
  std::string attended =
      graph_.Output(OpType::kAdd, {x, attention}, Value("attended"));
  attended = normed(attended, names.attended_sum_norm);
  const std::string feed_input =
      config_.parallel ? input : normed(attended, names.feed_norm);
  std::string fed;
  if (config_.feed) fed = config_.feed(*this, i, feed_input);
  if (fed.empty()) fed = Feed(i, feed_input);
  fed = Branch(fed, names.fed_norm, "mlp.part");
  return normed(graph_.Output(OpType::kAdd, {attended, fed}, Value("output")),
                names.fed_sum_norm);
}

std::string Decoder::Branch(const std::string& x, const std::string& norm,
                            const std::string& value) {
  return graph_.Scale(Value(value), norm.empty() ? x : Norm(x, norm),
                      config_.residual_scale);
}

std::string Decoder::Attend(size_t i, const std::string& x) {
  if (config_.attend) {
    const std::string output = config_.attend(*this, i, x);
    if (!output.empty()) return output;
  }
  const DecoderNames& names = config_.names;
  const DecoderLayer& layer = config_.layers[i];
  const int64_t q_dim = layer.query_dim();
  const int64_t kv_dim = layer.key_value_dim();
  const bool bias = config_.query_key_value_bias;
  int64_t row = 0;
  const auto project = [&](const std::string& name, int64_t n) {
    if (names.qkv.empty()) return Linear(x, name, n, config_.dim, bias);
    row += n;
    return LinearOfRows(x, name, n, config_.dim, bias, names.qkv, row - n,
                        q_dim + 2 * kv_dim);
  };
  std::string q = project(names.q, q_dim);
  std::string k = project(names.k, kv_dim);
  std::string v = project(names.v, kv_dim);
  q = NormOfHeads(i, q, names.q_norm, layer.heads);
  k = NormOfHeads(i, k, names.k_norm, layer.kv_heads);
  if (config_.clip_qkv > 0) {
    for (std::string* value : {&q, &k, &v}) {
      Node& node = graph_.Add(OpType::kClamp, {*value}, *value + ".clipped");
      node.attributes["low"] = -config_.clip_qkv;
      node.attributes["high"] = config_.clip_qkv;
      *value = node.output;
    }
  }
  q = Rotate(i, q);
  k = Rotate(i, k);
  if (!config_.position_scale.empty()) {
    Node& node = graph_.Add(OpType::kPositionScale, {q}, q + ".scaled");
    node.weight = "lutra.position_scale";
    node.attributes["period"] = static_cast<double>(config_.position_period);
    graph_.Make(node.weight, Role::kBias, config_.position_scale);
    q += ".scaled";
  }
  std::string y = AttendTo(i, q, k, v);
  if (!names.attention_sub_norm.empty()) {
    y = Norm(y, names.attention_sub_norm, q_dim);
  }
  return Linear(y, names.o, config_.dim, q_dim, config_.attention_output_bias);
}

std::string Decoder::NormOfHeads(size_t i, const std::string& x,
                                 const std::string& name, int64_t heads) {
  if (config_.qk_norm == QkNorm::kNone) return x;
  const int64_t head_dim = config_.layers[i].head_dim;
  return Norm(x, name,
              config_.qk_norm == QkNorm::kAll ? heads * head_dim : head_dim);
}

std::string Decoder::AttendTo(size_t i, const std::string& q,
                              const std::string& k, const std::string& v) {
  const DecoderLayer& layer = config_.layers[i];
  Node& node = graph_.Add(OpType::kAttention, {q, k, v}, Value("attention"));
  node.attributes["heads"] = static_cast<double>(layer.heads);
  node.attributes["kv_heads"] = static_cast<double>(layer.kv_heads);
  if (layer.window > 0) {
    node.attributes["window"] = static_cast<double>(layer.window);
  }
  if (config_.attention_scale != 0) {
    node.attributes["scale"] = config_.attention_scale;
  }
  if (config_.attention_soft_cap != 0) {
    node.attributes["soft_cap"] = config_.attention_soft_cap;
  }
  if (config_.both_directions) {
    node.attributes["direction"] = std::string("both");
  }
  if (config_.sinks) {
    node.weight = Tensor(config_.names.sinks);
    graph_.Use(node.weight, Role::kBias, {layer.heads});
  }
  return Value("attention");
}

std::string Decoder::Feed(size_t i, const std::string& x) {
  const DecoderNames& names = config_.names;
  const int64_t hidden = config_.layers[i].hidden;
  const auto project = [&](const std::string& name, int64_t first) {
    return names.gate_up.empty()
               ? Linear(x, name, hidden, config_.dim, config_.mlp_bias)
               : LinearOfRows(x, name, hidden, config_.dim, config_.mlp_bias,
                              names.gate_up, first, 2 * hidden);
  };
  std::string product;
  if (config_.gated) {
    const std::string gate = project(names.gate, 0);
    const std::string up = project(names.up, hidden);
    const std::string active =
        graph_.Output(config_.activation, {gate}, Value("mlp.active"));
    product = graph_.Output(OpType::kMul, {active, up}, Value("mlp.product"));
  } else {
    product = graph_.Output(config_.activation, {project(names.up, 0)},
                            Value("mlp.active"));
  }
  if (!names.feed_sub_norm.empty()) {
    product = Norm(product, names.feed_sub_norm, hidden);
  }
  return Linear(product, names.down, config_.dim, hidden, config_.mlp_bias);
}

std::string Decoder::Norm(const std::string& x, const std::string& name) {
  return Norm(x, name, config_.dim);
}

std::string Decoder::Norm(const std::string& x, const std::string& name,
                          int64_t width) {
  std::string output = Value(name);
  Node& norm = graph_.Add(
      config_.layer_norm ? OpType::kLayerNorm : OpType::kRmsNorm, {x}, output);
  norm.weight = Tensor(name) + ".weight";
  norm.attributes["eps"] = config_.norm_eps;
  if (config_.norm_bias) norm.bias = Tensor(name) + ".bias";
  NetworkTensor& weight = graph_.Use(norm.weight, Role::kNorm, {width});
  if (config_.norm_plus_one) {
    weight.transform = [](float w) { return 1.0f + w; };
    weight.undo = [](float w) { return w - 1.0f; };
  }
  if (config_.norm_bias) graph_.Use(norm.bias, Role::kBias, {width});
  return output;
}

std::string Decoder::Linear(const std::string& x, const std::string& name,
                            int64_t n, int64_t k, bool bias) {
  return LinearOfRows(x, name, n, k, bias, name, 0, n);
}

std::string Decoder::LinearOfRows(const std::string& x, const std::string& name,
                                  int64_t n, int64_t k, bool bias,
                                  const std::string& stored, int64_t first,
                                  int64_t of) {
  const std::string weight = Tensor(stored) + ".weight";
  const bool transposed = config_.transposed;
  TensorPart rows = transposed ? RowsOf(weight, {k, of}, first, n)
                               : RowsOf(weight, {of, k}, first, n);
  rows.transposed = transposed;
  std::vector<TensorPart> bias_rows;
  if (bias) {
    bias_rows.push_back(RowsOf(Tensor(stored) + ".bias", {of}, first, n));
  }
  return graph_.Linear(Value(name), x, Tensor(name) + ".weight", n, k,
                       bias ? Tensor(name) + ".bias" : "", {rows},
                       std::move(bias_rows));
}

std::string Decoder::Rotate(size_t i, const std::string& x) {
  if (config_.layers[i].rope < 0) return x;
  const DecoderRope& rope =
      config_.ropes[static_cast<size_t>(config_.layers[i].rope)];
  std::string output = x + ".rotated";
  Node& node = graph_.Add(OpType::kRope, {x}, output);
  node.weight = rope.tensor;
  node.attributes["head_dim"] = static_cast<double>(config_.layers[i].head_dim);
  node.attributes["pairing"] =
      std::string(config_.adjacent_pairs ? "adjacent" : "half");
  const double scale = RopeScale(rope.scheme);
  if (scale != 1) node.attributes["scale"] = scale;
  NetworkTensor& tensor = graph_.Make(
      rope.tensor, Role::kRope, InverseFrequencies(rope.scheme, rope.dim));
  if (rope.scheme.scaling == RopeScheme::Scaling::kLongRope) {
    tensor.long_values = InverseFrequencies(rope.scheme, rope.dim, true);
    tensor.long_from = static_cast<int64_t>(rope.scheme.original_context);
  }
  return output;
}

}  // namespace lutra::packer
