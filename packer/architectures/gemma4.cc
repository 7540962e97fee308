// Gemma 4: heads of two sizes, layers that read the keys and values of earlier
// ones, a table of embeddings for each layer, a factor of the stream.

#include <cmath>
#include <map>
#include <memory>
#include <utility>

#include "packer/architectures/architecture.h"
#include "packer/architectures/decoder_config.h"
#include "packer/architectures/experts.h"

namespace lutra::packer {
namespace {

using Role = NetworkTensor::Role;

struct Options {
  int64_t first_shared = 0;  // from this layer on keys and values are shared
  bool keys_are_values = false;  // in layers of full attention
  int64_t width = 0;             // of the embeddings of each layer; 0: none
  int64_t vocab = 0;             // of theirs
  Experts experts;               // beside the common feed-forward part, if any
};

// Of each kind of layers the last keys and values.
using KeysAndValues =
    std::map<std::string, std::pair<std::string, std::string>>;

// A norm of each head, without a weight.
std::string PlainNorm(Decoder& d, size_t i, const std::string& x) {
  const int64_t width = d.config().layers[i].head_dim;
  return d.graph().UnitNorm(d.Value("v_norm"), x,
                            "lutra.ones." + std::to_string(width), width, 1.0f,
                            d.config().norm_eps);
}

std::string Attend(Decoder& d, size_t i, const std::string& x,
                   const Options& options, KeysAndValues& last) {
  const DecoderConfig& config = d.config();
  const DecoderNames& names = config.names;
  const DecoderLayer& layer = config.layers[i];
  const bool bias = config.query_key_value_bias;
  const auto project = [&](const std::string& name, int64_t n) {
    return d.Linear(x, name, n, config.dim, bias);
  };
  const std::string q = d.Rotate(i, d.Norm(project(names.q, layer.query_dim()),
                                           names.q_norm, layer.head_dim));
  if (static_cast<int64_t>(i) < options.first_shared) {
    const std::string k = project(names.k, layer.key_value_dim());
    const bool is_value =
        options.keys_are_values && layer.kind == kFullAttention;
    const std::string v =
        is_value ? k : project(names.v, layer.key_value_dim());
    last[layer.kind] = {d.Rotate(i, d.Norm(k, names.k_norm, layer.head_dim)),
                        PlainNorm(d, i, v)};
  }
  const auto& [keys, values] = last.at(layer.kind);
  return d.Linear(d.AttendTo(i, q, keys, values), names.o, config.dim,
                  layer.query_dim(), config.attention_output_bias);
}

// The common feed-forward part and experts, which read the stream itself.
std::string FeedBoth(Decoder& d, size_t i, const std::string& x,
                     const Options& options) {
  GraphBuilder& graph = d.graph();
  const std::string common =
      d.Norm(d.Feed(i, x), "post_feedforward_layernorm_1");
  const std::string stream = d.Value("attended");
  Node& norm = graph.Add(OpType::kRmsNorm, {stream}, d.Value("router.norm"));
  norm.weight = d.Tensor("router.scale");
  norm.attributes["eps"] = d.config().norm_eps;
  const auto factor =
      static_cast<float>(1 / std::sqrt(static_cast<double>(d.config().dim)));
  NetworkTensor& scale =
      graph.Use(d.Tensor("router.scale"), Role::kNorm, {d.config().dim});
  scale.transform = [factor](float value) { return value * factor; };
  scale.undo = [factor](float value) { return value / factor; };
  const std::string sparse =
      d.Norm(Route(d, options.experts, d.Value("router.norm"),
                   d.Norm(stream, "pre_feedforward_layernorm_2")),
             "post_feedforward_layernorm_2");
  return graph.Output(OpType::kAdd, {common, sparse}, d.Value("mlp.both"));
}

// Embeddings of all layers, and what the common one says of them.
std::string EmbedLayers(Decoder& d, const std::string& x,
                        const Options& options) {
  GraphBuilder& graph = d.graph();
  const auto layers = static_cast<int64_t>(d.config().layers.size());
  const int64_t all = layers * options.width;
  const std::string table = "model.embed_tokens_per_layer.weight";
  graph.Add(OpType::kEmbedding, {"ids"}, "per_layer.embedding").weight = table;
  graph.Use(table, Role::kMatrix, {options.vocab, all});
  const std::string embedding =
      graph.Scale("per_layer.embedding.scaled", "per_layer.embedding",
                  std::sqrt(static_cast<double>(options.width)));
  const std::string projection =
      graph.Scale("per_layer.projection.scaled",
                  graph.Linear("per_layer.projection", x,
                               "model.per_layer_model_projection.weight", all,
                               d.config().dim, ""),
                  1 / std::sqrt(static_cast<double>(d.config().dim)));
  const std::string normed =
      d.Norm(projection, "model.per_layer_projection_norm", options.width);
  const std::string sum =
      graph.Output(OpType::kAdd, {normed, embedding}, "per_layer.sum");
  graph.Scale("per_layer", sum, std::sqrt(0.5));
  return x;
}

std::string Finish(Decoder& d, size_t i, const std::string& x,
                   const Options& options) {
  GraphBuilder& graph = d.graph();
  std::string stream = x;
  if (options.width > 0) {
    const std::string own =
        graph.Slice(d.Value("per_layer"), "per_layer",
                    static_cast<int64_t>(i) * options.width, options.width);
    const std::string gate =
        graph.Output(d.config().activation,
                     {d.Linear(x, "per_layer_input_gate", options.width,
                               d.config().dim, false)},
                     d.Value("per_layer.active"));
    const std::string product =
        graph.Output(OpType::kMul, {gate, own}, d.Value("per_layer.mul"));
    const std::string added =
        d.Norm(d.Linear(product, "per_layer_projection", d.config().dim,
                        options.width, false),
               "post_per_layer_input_norm");
    stream = graph.Output(OpType::kAdd, {x, added}, d.Value("per_layer.added"));
  }
  Node& scale = graph.Add(OpType::kScale, {stream}, d.Value("scaled"));
  scale.weight = d.Tensor("layer_scalar");
  graph.Use(scale.weight, Role::kBias, {1});
  return d.Value("scaled");
}

// What differs between layers, in either spelling.
void ReadLayers(const JsonObject& config, DecoderConfig& decoder) {
  if (config.Has("per_layer_config")) {
    const JsonObject layers = config.Object("per_layer_config");
    for (size_t i = 0; i < decoder.layers.size(); ++i) {
      const std::string key = std::to_string(i);
      if (!layers.Has(key)) continue;
      const JsonObject own = layers.Object(key);
      own.AllowOnly({"head_dim", "num_key_value_heads"});
      DecoderLayer& layer = decoder.layers[i];
      layer.head_dim = own.Integer("head_dim", 2, 65536, layer.head_dim);
      layer.kv_heads =
          own.Integer("num_key_value_heads", 1, layer.heads, layer.kv_heads);
    }
  } else {
    const int64_t head_dim = config.Integer("global_head_dim", 2, 65536, 512);
    for (DecoderLayer& layer : decoder.layers) {
      if (layer.kind != kFullAttention) continue;
      layer.head_dim = head_dim;
      if (config.Bool("attention_k_eq_v", false)) {
        layer.kv_heads = config.Integer("num_global_key_value_heads", 1,
                                        layer.heads, layer.kv_heads);
      }
    }
  }
  for (const DecoderLayer& layer : decoder.layers) {
    if (layer.head_dim % 2 != 0) config.Fail("a head's size is odd");
    if (layer.heads % layer.kv_heads != 0) {
      config.Fail(
          "num_attention_heads is no multiple of a layer's heads of "
          "keys");
    }
  }
}

void ReadRopes(const JsonObject& config, const DecoderDefaults& defaults,
               DecoderConfig& decoder) {
  if (config.Has("rope_parameters")) return ReadRope(config, defaults, decoder);
  RopeScheme full;
  full.theta = 1e6;
  full.scaling = RopeScheme::Scaling::kProportional;
  full.proportion = 0.25;
  AddRope(full, kFullAttention, 1, config, decoder);
  AddRope(RopeScheme(), kSlidingAttention, 1, config, decoder);
}

Network BuildGemma4(const JsonObject& config) {
  if (config.String("use_bidirectional_attention", "") == "all") {
    config.Fail("use_bidirectional_attention 'all' is not supported");
  }
  DecoderDefaults defaults;
  defaults.context = 131072;
  defaults.activation_key = "hidden_activation";
  defaults.activation = "gelu_pytorch_tanh";
  defaults.tied = true;
  defaults.vocab = 262144;
  defaults.dim = 2304;
  defaults.hidden = 9216;
  defaults.layers = 30;
  defaults.heads = 8;
  defaults.kv_heads = 4;
  defaults.head_dim = 256;
  DecoderConfig decoder = ReadDecoder(config, defaults);
  decoder.query_key_value_bias = config.Bool("attention_bias", false);
  decoder.attention_output_bias = decoder.query_key_value_bias;
  ReadKinds(
      config,
      [](int64_t i) {
        return (i + 1) % 6 != 0 ? kSlidingAttention : kFullAttention;
      },
      decoder);
  decoder.layers.back().kind = kFullAttention;
  ReadLayers(config, decoder);

  const auto layers = static_cast<int64_t>(decoder.layers.size());
  Options options;
  options.first_shared =
      layers - config.Integer("num_kv_shared_layers", 0, layers - 1, 0);
  options.keys_are_values = config.Bool("attention_k_eq_v", false);
  options.width =
      config.Integer("hidden_size_per_layer_input", 0, kMaxConfigSize, 256);
  options.vocab =
      config.Integer("vocab_size_per_layer_input", 1, kMaxConfigSize, 262144);
  std::map<std::string, bool> has_keys;
  for (int64_t i = 0; i < layers; ++i) {
    DecoderLayer& layer = decoder.layers[static_cast<size_t>(i)];
    if (i < options.first_shared) {
      has_keys[layer.kind] = true;
      continue;
    }
    if (!has_keys[layer.kind]) {
      config.Fail("layer " + std::to_string(i) +
                  " shares keys, but no layer of its kind has any");
    }
    if (config.Bool("use_double_wide_mlp", false)) layer.hidden *= 2;
    // Some files still have them.
    const std::string prefix =
        "model.layers." + std::to_string(i) + ".self_attn.";
    for (const char* name :
         {"k_proj.weight", "v_proj.weight", "k_norm.weight", "v_norm.weight"}) {
      decoder.ignored.push_back(prefix + name);
    }
  }
  SetWindow(ReadWindow(config, 512), decoder);
  ReadRopes(config, defaults, decoder);
  decoder.attention_scale = 1;
  decoder.embedding_scale = std::sqrt(static_cast<double>(decoder.dim));
  decoder.logits_soft_cap = config.Number("final_logit_softcapping", 0, 1e6, 0);
  decoder.names.attended_norm = "post_attention_layernorm";
  decoder.names.feed_norm = "pre_feedforward_layernorm";
  decoder.names.fed_norm = "post_feedforward_layernorm";

  if (config.Bool("enable_moe_block", false)) {
    Experts& experts = options.experts;
    experts.count = config.Integer("num_experts", 1, kMaxParts);
    CheckParts(config, "num_experts", experts.count, decoder);
    experts.chosen = config.Integer("top_k_experts", 1, experts.count);
    experts.hidden = config.Integer("moe_intermediate_size", 1, kMaxConfigSize);
    experts.stored = Experts::Stored::kStacked;
    experts.router = "router.proj";
    experts.router_scale = "router.per_expert_scale";
    experts.prefix = "experts.";
    experts.gate_up = "experts.gate_up_proj";
    experts.stacked_down = "experts.down_proj";
    decoder.feed = [options](Decoder& d, size_t i, const std::string& x) {
      return FeedBoth(d, i, x, options);
    };
  }
  if (options.width > 0) {
    decoder.begin = [options](Decoder& d, const std::string& x) {
      return EmbedLayers(d, x, options);
    };
  }
  const auto last = std::make_shared<KeysAndValues>();
  decoder.attend = [options, last](Decoder& d, size_t i, const std::string& x) {
    return Attend(d, i, x, options, *last);
  };
  decoder.finish = [options](Decoder& d, size_t i, const std::string& x) {
    return Finish(d, i, x, options);
  };
  return Decoder::Build(decoder);
}

// Images, videos and sounds take the place of ids that are else read as
// padding.
void Nest(const JsonObject& whole, Network& network) {
  const int64_t padding = whole.Object("text_config")
                              .Integer("pad_token_id", 0, network.vocab - 1, 0);
  std::vector<int64_t> aliases;
  for (const char* key :
       {"image_token_id", "video_token_id", "audio_token_id"}) {
    const int64_t id = whole.Integer(key, 0, kMaxConfigSize, network.vocab);
    if (id >= network.vocab) continue;
    aliases.push_back(id);
    aliases.push_back(padding);
  }
  for (Node& node : network.graph.nodes) {
    if (node.op == OpType::kEmbedding && !aliases.empty()) {
      node.attributes["aliases"] = aliases;
    }
  }
}

}  // namespace

const Architecture kGemma4 = {"Gemma4ForCausalLM", "gemma4_text",
                              "Gemma 4 E2B, E4B, 12B, 26B-A4B, 31B (text)",
                              BuildGemma4, Nest};

}  // namespace lutra::packer
