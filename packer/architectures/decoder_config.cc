#include "packer/architectures/decoder_config.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

namespace lutra::packer {
namespace {

using nlohmann::json;
using Scaling = RopeScheme::Scaling;

constexpr int64_t kMaxLayers = 2048;
constexpr int64_t kMaxHeads = 65536;
constexpr int64_t kMaxContext = std::numeric_limits<int32_t>::max();

int64_t Size(const JsonObject& config, std::string_view key, int64_t limit,
             int64_t fallback) {
  return fallback == 0 ? config.Integer(key, 1, limit)
                       : config.Integer(key, 1, limit, fallback);
}

}  // namespace

OpType ReadActivation(const JsonObject& config, std::string_view key,
                      std::string_view fallback) {
  const std::string name = config.String(key, fallback);
  if (name == "silu" || name == "swish") return OpType::kSilu;
  if (name == "gelu") return OpType::kGelu;
  // The last differs from the others by a rounded constant.
  if (name == "gelu_pytorch_tanh" || name == "gelu_new" ||
      name == "gelu_fast") {
    return OpType::kGeluTanh;
  }
  if (name == "relu2") return OpType::kRelu2;
  if (name == "relu") return OpType::kRelu;
  config.Fail(std::string(key) + " '" + name +
              "' is not supported; supported: silu, gelu, "
              "gelu_pytorch_tanh, gelu_new, gelu_fast, relu, relu2");
}

DecoderConfig ReadDecoder(const JsonObject& config,
                          const DecoderDefaults& defaults) {
  DecoderConfig decoder;
  decoder.vocab = Size(config, "vocab_size", kMaxConfigSize, defaults.vocab);
  decoder.dim = Size(config, "hidden_size", kMaxConfigSize, defaults.dim);
  DecoderLayer layer;
  layer.kind = kFullAttention;
  layer.hidden =
      Size(config, "intermediate_size", kMaxConfigSize, defaults.hidden);
  layer.heads = Size(config, "num_attention_heads", kMaxHeads, defaults.heads);
  layer.kv_heads = config.Integer(
      "num_key_value_heads", 1, layer.heads,
      defaults.kv_heads == 0 ? layer.heads
                             : std::min(defaults.kv_heads, layer.heads));
  if (layer.heads % layer.kv_heads != 0) {
    config.Fail("num_attention_heads is no multiple of num_key_value_heads");
  }
  if (!config.Has("head_dim") && defaults.head_dim == 0 &&
      decoder.dim % layer.heads != 0) {
    config.Fail("hidden_size is no multiple of num_attention_heads");
  }
  layer.head_dim = config.Integer(
      "head_dim", 1, kMaxHeads,
      defaults.head_dim == 0 ? decoder.dim / layer.heads : defaults.head_dim);
  if (layer.head_dim % 2 != 0) config.Fail("the head's size is odd");
  const int64_t layers =
      Size(config, "num_hidden_layers", kMaxLayers, defaults.layers);
  decoder.layers.assign(static_cast<size_t>(layers), layer);
  decoder.context = config.Integer("max_position_embeddings", 1, kMaxContext,
                                   defaults.context);
  decoder.norm_eps = config.Number(defaults.eps_key, 0, 1, defaults.eps);
  decoder.activation =
      ReadActivation(config, defaults.activation_key, defaults.activation);
  decoder.tied = config.Bool("tie_word_embeddings", defaults.tied);
  return decoder;
}

void ReadKinds(const JsonObject& config,
               const std::function<std::string_view(int64_t i)>& kind,
               DecoderConfig& decoder,
               std::initializer_list<std::string_view> others) {
  if (!config.Has("layer_types")) {
    for (size_t i = 0; i < decoder.layers.size(); ++i) {
      decoder.layers[i].kind = kind(static_cast<int64_t>(i));
    }
    return;
  }
  const json& types = config.List("layer_types", kMaxLayers);
  if (types.size() != decoder.layers.size()) {
    config.Fail("layer_types are " + std::to_string(types.size()) +
                " for num_hidden_layers " +
                std::to_string(decoder.layers.size()));
  }
  for (size_t i = 0; i < types.size(); ++i) {
    std::string known;
    bool found = false;
    const auto accept = [&](std::string_view name) {
      known += (known.empty() ? "\"" : ", \"") + std::string(name) + '"';
      found |= types[i] == name;
    };
    accept(kFullAttention);
    accept(kSlidingAttention);
    for (const std::string_view other : others) accept(other);
    if (!found) {
      config.Fail("layer type " + ShortDump(types[i]) +
                  " is not supported; supported: " + known);
    }
    decoder.layers[i].kind = types[i].get<std::string>();
  }
}

int64_t ReadWindow(const JsonObject& config, int64_t fallback) {
  // Absent is not the same as null.
  if (config.Mentions("sliding_window") && !config.Has("sliding_window")) {
    return 0;
  }
  return config.Integer("sliding_window", 1, kMaxContext, fallback);
}

void SetWindow(int64_t window, DecoderConfig& decoder) {
  if (window >= decoder.context) window = 0;
  for (DecoderLayer& layer : decoder.layers) {
    if (layer.kind == kSlidingAttention) layer.window = window;
  }
}

namespace {

std::vector<double> Factors(const JsonObject& scaling, const char* key) {
  std::vector<double> factors;
  for (const json& entry : scaling.List(key, 65536)) {
    if (!entry.is_number() || !(entry.get<double>() > 0)) {
      scaling.Fail(std::string(key) + " has " + ShortDump(entry));
    }
    factors.push_back(entry.get<double>());
  }
  return factors;
}

// The length of the first training.
double OriginalContext(const JsonObject& config, const JsonObject& scaling,
                       int64_t context) {
  constexpr const char* kKey = "original_max_position_embeddings";
  const double own =
      scaling.Number(kKey, 1, kMaxConfigNumber, static_cast<double>(context));
  return config.Number(kKey, 1, kMaxConfigNumber, own);
}

void ReadYarn(const JsonObject& scaling, int64_t context, RopeScheme& scheme) {
  const auto length = static_cast<double>(context);
  scheme.factor = scaling.Number("factor", 1e-3, kMaxConfigNumber,
                                 length / scheme.original_context);
  const auto optional = [&](const char* key, double fallback) {
    const double value = scaling.Number(key, 0, kMaxConfigNumber, fallback);
    return value == 0 ? fallback : value;
  };
  scheme.beta_fast = optional("beta_fast", 32);
  scheme.beta_slow = optional("beta_slow", 1);
  scheme.mscale = optional("mscale", 0);
  scheme.mscale_all_dim = optional("mscale_all_dim", 0);
  scheme.truncate = scaling.Bool("truncate", true);
}

}  // namespace

RopeScheme ReadRopeScheme(const JsonObject& config,
                          const JsonObject* parameters,
                          const DecoderDefaults& defaults, int64_t context,
                          double theta) {
  RopeScheme scheme;
  scheme.theta = config.Number("rope_theta", 1, kMaxConfigNumber, theta);
  if (parameters == nullptr) return scheme;
  const JsonObject& scaling = *parameters;
  scheme.theta =
      scaling.Number("rope_theta", 1, kMaxConfigNumber, scheme.theta);
  std::string type =
      scaling.String("rope_type", scaling.String("type", "default"));
  if (defaults.old_long_rope && (type == "su" || type == "yarn")) {
    type = "longrope";
  }
  if (type == "default") return scheme;
  const auto factor = [&] {
    return scaling.Number("factor", 1e-3, kMaxConfigNumber);
  };
  scheme.original_context = OriginalContext(config, scaling, context);
  scheme.attention_factor =
      scaling.Number("attention_factor", 0, kMaxConfigNumber, 0);
  if (type == "linear") {
    scheme.scaling = Scaling::kLinear;
    scheme.factor = factor();
  } else if (type == "llama3") {
    scheme.scaling = Scaling::kLlama3;
    scheme.factor = factor();
    scheme.low_frequency_factor =
        scaling.Number("low_freq_factor", 1e-6, kMaxConfigNumber);
    scheme.high_frequency_factor =
        scaling.Number("high_freq_factor", 1e-6, kMaxConfigNumber);
    if (scheme.high_frequency_factor <= scheme.low_frequency_factor) {
      scaling.Fail("high_freq_factor must be above low_freq_factor");
    }
  } else if (type == "yarn") {
    scheme.scaling = Scaling::kYarn;
    ReadYarn(scaling, context, scheme);
  } else if (type == "longrope") {
    scheme.scaling = Scaling::kLongRope;
    scheme.factor =
        scaling.Number("factor", 1e-3, kMaxConfigNumber,
                       static_cast<double>(context) / scheme.original_context);
    scheme.short_factors = Factors(scaling, "short_factor");
    scheme.long_factors = Factors(scaling, "long_factor");
  } else if (type == "proportional") {
    scheme.scaling = Scaling::kProportional;
    scheme.factor = scaling.Number("factor", 1e-3, kMaxConfigNumber, 1);
    scheme.proportion = scaling.Number("partial_rotary_factor", 0, 1, 1);
  } else {
    scaling.Fail("rope type '" + type +
                 "' is not supported; supported: default, linear, llama3, "
                 "yarn, longrope, proportional");
  }
  if (type == "linear" || type == "llama3" || type == "proportional") {
    scheme.attention_factor = 0;  // which these do not have
  }
  return scheme;
}

RopeScheme ReadFullRope(const JsonObject& config,
                        const DecoderDefaults& defaults, int64_t context,
                        double theta) {
  if (!config.Has("rope_scaling")) {
    return ReadRopeScheme(config, nullptr, defaults, context, theta);
  }
  const JsonObject scaling = config.Object("rope_scaling");
  return ReadRopeScheme(config, &scaling, defaults, context, theta);
}

void AddRope(const RopeScheme& scheme, std::string_view kind,
             double rotary_part, const JsonObject& config,
             DecoderConfig& decoder) {
  const int index = static_cast<int>(decoder.ropes.size());
  const DecoderLayer* first = nullptr;
  for (DecoderLayer& layer : decoder.layers) {
    if (!kind.empty() && layer.kind != kind) continue;
    layer.rope = index;
    if (first == nullptr) first = &layer;
  }
  if (first == nullptr) return;
  DecoderRope rope;
  rope.scheme = scheme;
  if (index > 0) rope.tensor.append(".").append(kind);
  const auto head_dim = static_cast<double>(first->head_dim);
  rope.dim = scheme.scaling == Scaling::kProportional
                 ? first->head_dim
                 : static_cast<int64_t>(head_dim * rotary_part);
  if (rope.dim < 2 || rope.dim % 2 != 0) {
    config.Fail("partial_rotary_factor turns " + std::to_string(rope.dim) +
                " elements of a head, which is no pairs");
  }
  if (scheme.scaling == Scaling::kLongRope) {
    const auto pairs = static_cast<size_t>(rope.dim / 2);
    if (scheme.short_factors.size() != pairs ||
        scheme.long_factors.size() != pairs) {
      config.Fail("short_factor and long_factor must have " +
                  std::to_string(pairs) + " numbers each");
    }
  }
  decoder.ropes.push_back(std::move(rope));
}

namespace {

// The member that counts, nullptr if there is none. As in transformers: unless
// it is empty, rope_scaling replaces all of rope_parameters, the base too.
const char* RopeKey(const JsonObject& config) {
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const json* value = config.Find(key);
    if (value != nullptr && !(value->is_object() && value->empty())) return key;
  }
  return nullptr;
}

}  // namespace

void ReadRope(const JsonObject& config, const DecoderDefaults& defaults,
              DecoderConfig& decoder) {
  decoder.ropes.clear();
  const double part =
      config.Number("partial_rotary_factor", 0, 1, defaults.rotary_part);
  const auto add = [&](const JsonObject* scaling, std::string_view kind) {
    const double own =
        scaling == nullptr
            ? part
            : scaling->Number("partial_rotary_factor", 0, 1, part);
    AddRope(ReadRopeScheme(config, scaling, defaults, decoder.context,
                           defaults.theta),
            kind, own, config, decoder);
  };
  const char* key = RopeKey(config);
  if (key == nullptr) return add(nullptr, "");
  const JsonObject scaling = config.Object(key);
  bool nested = false;
  for (const std::string_view kind : {kFullAttention, kSlidingAttention}) {
    if (!scaling.Has(kind)) continue;
    nested = true;
    const JsonObject own = scaling.Object(kind);
    add(&own, kind);
  }
  if (!nested) return add(&scaling, "");
  for (const DecoderLayer& layer : decoder.layers) {
    if (layer.rope >= 0 ||
        (layer.kind != kFullAttention && layer.kind != kSlidingAttention)) {
      continue;
    }
    config.Fail(std::string(key) + " have none for layers of " + layer.kind);
  }
}

void ReadMultipliers(const JsonObject& config, DecoderConfig& decoder) {
  const auto factor = [&](const char* key) {
    return config.Number(key, 1e-9, 1e6, 1);
  };
  decoder.embedding_scale = factor("embedding_multiplier");
  decoder.attention_scale = factor("attention_multiplier");
  decoder.residual_scale = factor("residual_multiplier");
  decoder.logits_scale = 1 / factor("logits_scaling");
}

void CheckParts(const JsonObject& config, std::string_view key, int64_t each,
                const DecoderConfig& decoder) {
  const auto layers = static_cast<int64_t>(decoder.layers.size());
  if (each <= kMaxParts / layers) return;
  config.Fail(std::string(key) + " " + std::to_string(each) + " in " +
              std::to_string(layers) + " layers are more than " +
              std::to_string(kMaxParts));
}

void RefuseOptions(const JsonObject& config,
                   std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    const json* value = config.Find(key);
    if (value == nullptr || *value == false) continue;
    config.Fail("option '" + std::string(key) + "' is not supported");
  }
}

}  // namespace lutra::packer
