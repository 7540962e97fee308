// Qwen 3.5: in three of four layers a gated delta rule instead of attention,
// which has a gate of its output.

#include <cmath>

#include "packer/architectures/architecture.h"
#include "packer/architectures/decoder_config.h"

namespace lutra::packer {
namespace {

using Role = NetworkTensor::Role;

constexpr std::string_view kLinearAttention = "linear_attention";

struct LinearSizes {
  int64_t key_heads = 0;
  int64_t value_heads = 0;
  int64_t dk = 0;
  int64_t dv = 0;
  int64_t taps = 0;

  int64_t keys() const { return key_heads * dk; }
  int64_t values() const { return value_heads * dv; }
  int64_t all() const { return 2 * keys() + values(); }
};

// Vectors of heads divided by their length, times `factor`.
std::string Unit(Decoder& d, const std::string& x, int64_t width,
                 double factor) {
  constexpr double kEps = 1e-6;
  const auto n = static_cast<double>(width);
  const auto weight = static_cast<float>(factor / std::sqrt(n));
  return d.graph().UnitNorm(
      x + ".unit", x,
      "lutra.unit." + std::to_string(width) + "." + std::to_string(weight),
      width, weight, kEps / n);
}

std::string LinearAttention(Decoder& d, const std::string& x,
                            const LinearSizes& sizes) {
  GraphBuilder& graph = d.graph();
  const int64_t dim = d.config().dim;
  const std::string qkv =
      d.Linear(x, "linear_attn.in_proj_qkv", sizes.all(), dim, false);
  const std::string z =
      d.Linear(x, "linear_attn.in_proj_z", sizes.values(), dim, false);
  const std::string b =
      d.Linear(x, "linear_attn.in_proj_b", sizes.value_heads, dim, false);
  const std::string a =
      graph.Linear(d.Value("linear_attn.in_proj_a"), x,
                   d.Tensor("linear_attn.in_proj_a.weight"), sizes.value_heads,
                   dim, d.Tensor("linear_attn.dt_bias"));

  const std::string conv = graph.CausalConv1d(
      d.Value("linear_attn.conv"), qkv, d.Tensor("linear_attn.conv1d.weight"),
      sizes.all(), sizes.taps, "");
  const std::string active =
      graph.Output(OpType::kSilu, {conv}, d.Value("linear_attn.active"));
  const auto slice = [&](const char* name, int64_t begin, int64_t length) {
    return graph.Slice(d.Value(name), active, begin, length);
  };
  const double root = std::sqrt(static_cast<double>(sizes.dk));
  const std::string q =
      Unit(d, slice("linear_attn.q", 0, sizes.keys()), sizes.dk, 1 / root);
  const std::string k =
      Unit(d, slice("linear_attn.k", sizes.keys(), sizes.keys()), sizes.dk, 1);
  const std::string v =
      slice("linear_attn.v", 2 * sizes.keys(), sizes.values());
  const std::string beta =
      graph.Output(OpType::kSigmoid, {b}, d.Value("linear_attn.beta"));

  const std::string rates = d.Tensor("linear_attn.A_log");
  Node& rule = graph.Add(OpType::kGatedDeltaRule, {q, k, v, a, beta},
                         d.Value("linear_attn.rule"));
  rule.weight = rates;
  rule.attributes["heads"] = static_cast<double>(sizes.value_heads);
  rule.attributes["key_heads"] = static_cast<double>(sizes.key_heads);
  NetworkTensor& decay = graph.Use(rates, Role::kBias, {sizes.value_heads});
  decay.transform = [](float log) { return std::exp(log); };
  decay.undo = [](float rate) { return std::log(rate); };

  // The only norm whose weight is not less by 1.
  Node& norm = graph.Add(OpType::kRmsNorm, {d.Value("linear_attn.rule")},
                         d.Value("linear_attn.norm"));
  norm.weight = d.Tensor("linear_attn.norm.weight");
  norm.attributes["eps"] = d.config().norm_eps;
  graph.Use(d.Tensor("linear_attn.norm.weight"), Role::kNorm, {sizes.dv});
  const std::string gate =
      graph.Output(OpType::kSilu, {z}, d.Value("linear_attn.gate"));
  const std::string y =
      graph.Output(OpType::kMul, {d.Value("linear_attn.norm"), gate},
                   d.Value("linear_attn.gated"));
  return d.Linear(y, "linear_attn.out_proj", dim, sizes.values(), false);
}

// Queries, or the gates of their heads: of each head the rows before or behind.
std::string OfHeads(Decoder& d, size_t i, const std::string& x,
                    const std::string& name, bool gates) {
  const DecoderLayer& layer = d.config().layers[i];
  const std::string stored = d.Tensor("self_attn.q_proj.weight");
  const int64_t dim = d.config().dim;
  std::vector<TensorPart> parts;
  std::vector<TensorPart> bias_parts;
  for (int64_t head = 0; head < layer.heads; ++head) {
    TensorPart& part = parts.emplace_back();
    part.name = stored;
    part.stored = {2 * layer.query_dim(), dim};
    part.first = (2 * head + (gates ? 1 : 0)) * layer.head_dim;
    part.count = layer.head_dim;
    if (!d.config().query_key_value_bias) continue;
    TensorPart& bias = bias_parts.emplace_back(part);
    bias.name = d.Tensor("self_attn.q_proj.bias");
    bias.stored = {2 * layer.query_dim()};
  }
  return d.graph().Linear(
      d.Value(name), x, d.Tensor(name) + ".weight", layer.query_dim(), dim,
      bias_parts.empty() ? "" : d.Tensor(name) + ".bias", parts, bias_parts);
}

std::string Attend(Decoder& d, size_t i, const std::string& x) {
  const DecoderConfig& config = d.config();
  const DecoderLayer& layer = config.layers[i];
  const bool bias = config.query_key_value_bias;
  const std::string q = OfHeads(d, i, x, "self_attn.q_proj", false);
  const std::string gate = OfHeads(d, i, x, "self_attn.gate_proj", true);
  const auto project = [&](const std::string& name) {
    return d.Linear(x, name, layer.key_value_dim(), config.dim, bias);
  };
  const std::string k = project(config.names.k);
  const std::string v = project(config.names.v);
  const std::string y = d.AttendTo(
      i, d.Rotate(i, d.Norm(q, config.names.q_norm, layer.head_dim)),
      d.Rotate(i, d.Norm(k, config.names.k_norm, layer.head_dim)), v);
  const std::string open =
      d.graph().Output(OpType::kSigmoid, {gate}, d.Value("self_attn.open"));
  const std::string gated =
      d.graph().Output(OpType::kMul, {y, open}, d.Value("self_attn.gated"));
  return d.Linear(gated, config.names.o, config.dim, layer.query_dim(),
                  config.attention_output_bias);
}

Network BuildQwen35(const JsonObject& config) {
  RefuseOptions(config, {"num_experts"});
  DecoderDefaults defaults;
  defaults.context = 32768;
  defaults.rotary_part = 0.25;
  defaults.kv_heads = 4;
  defaults.head_dim = 256;
  DecoderConfig decoder = ReadDecoder(config, defaults);
  decoder.query_key_value_bias = config.Bool("attention_bias", false);
  decoder.attention_output_bias = decoder.query_key_value_bias;
  CheckParts(config, "num_attention_heads", decoder.layers[0].heads, decoder);
  decoder.norm_plus_one = true;
  decoder.qk_norm = DecoderConfig::QkNorm::kHeads;
  const int64_t interval =
      config.Integer("full_attention_interval", 1, kMaxConfigSize, 4);
  ReadKinds(config,
            [interval](int64_t i) {
              return (i + 1) % interval != 0 ? kLinearAttention
                                             : kFullAttention;
            },
            decoder, {kLinearAttention});
  ReadRope(config, defaults, decoder);
  constexpr int64_t kMaxHeads = 65536;
  LinearSizes sizes;
  sizes.key_heads = config.Integer("linear_num_key_heads", 1, kMaxHeads, 16);
  sizes.value_heads =
      config.Integer("linear_num_value_heads", 1, kMaxHeads, 32);
  sizes.dk = config.Integer("linear_key_head_dim", 1, kMaxHeads, 128);
  sizes.dv = config.Integer("linear_value_head_dim", 1, kMaxHeads, 128);
  sizes.taps = config.Integer("linear_conv_kernel_dim", 1, 1024, 4);
  decoder.attend = [sizes](Decoder& d, size_t i, const std::string& x) {
    return d.config().layers[i].kind == kLinearAttention
               ? LinearAttention(d, x, sizes)
               : Attend(d, i, x);
  };
  // What predicts several tokens at once.
  decoder.ignored = {"mtp."};
  return Decoder::Build(decoder);
}

}  // namespace

const Architecture kQwen35 = {"Qwen3_5ForCausalLM", "qwen3_5_text",
                              "Qwen 3.5 (text)", BuildQwen35};

}  // namespace lutra::packer
