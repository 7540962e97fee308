#include "packer/import/huggingface/huggingface_config.h"

#include <algorithm>
#include <limits>

namespace lutra::packer {
namespace {

using nlohmann::json;

// Far above any model; small enough that products of two fit 64 bits.
constexpr int64_t kMaxSize = int64_t{1} << 24;
constexpr int64_t kMaxLayers = 2048;
constexpr double kMaxNumber = 1e12;

// Which layers see no further than `sliding_window`.
enum class Windows {
  kNone,         // there is no such option
  kAll,          // unless it is null
  kUpperLayers,  // those from max_window_layers on, with use_sliding_window
};
constexpr int64_t kDefaultWindow = 4096;
constexpr int64_t kDefaultLayersWithoutWindow = 28;

// What an architecture's configuration class takes for granted.
struct Architecture {
  std::string_view name;
  std::string_view model_type;
  int64_t context;
  bool query_key_value_bias;  // always; not an option
  bool bias_options;          // attention_bias and mlp_bias
  Windows windows;
};
constexpr Architecture kArchitectures[] = {
    {"LlamaForCausalLM", "llama", 2048, false, true, Windows::kNone},
    {"MistralForCausalLM", "mistral", 131072, false, false, Windows::kAll},
    {"Qwen2ForCausalLM", "qwen2", 32768, true, false, Windows::kUpperLayers},
};

const Architecture& FindArchitecture(const JsonObject& config) {
  std::string name;
  if (config.Has("architectures")) {
    for (const json& entry : config.List("architectures", 16)) {
      if (name.empty() && entry.is_string()) name = entry.get<std::string>();
    }
  }
  const std::string type = config.String("model_type", "");
  std::string known;
  for (const Architecture& row : kArchitectures) {
    if (name.empty() ? row.model_type == type : row.name == name) return row;
    known += known.empty() ? "" : ", ";
    known += row.name;
  }
  config.Fail("architecture '" + (name.empty() ? type : name) +
              "' is not supported; supported: " + known);
}

// Options that change what the network computes.
void RefuseOptions(const JsonObject& config) {
  for (const char* key :
       {"clip_qkv", "num_local_experts", "num_experts", "n_routed_experts",
        "attn_logit_softcapping", "final_logit_softcapping",
        "attention_multiplier", "residual_multiplier", "embedding_multiplier",
        "logits_scaling"}) {
    if (config.Has(key)) {
      config.Fail("option '" + std::string(key) + "' is not supported");
    }
  }
  if (config.Bool("use_qk_norm", false) || config.Bool("qk_norm", false)) {
    config.Fail("normalized queries and keys (qk_norm) are not supported");
  }
}

OpType Activation(const JsonObject& config) {
  const std::string name = config.String("hidden_act", "silu");
  if (name == "silu" || name == "swish") return OpType::kSilu;
  if (name == "gelu") return OpType::kGelu;
  // The last differs from the others by a rounded constant.
  if (name == "gelu_pytorch_tanh" || name == "gelu_new" ||
      name == "gelu_fast") {
    return OpType::kGeluTanh;
  }
  if (name == "relu2") return OpType::kRelu2;
  if (name == "relu") return OpType::kRelu;
  config.Fail("hidden_act '" + name +
              "' is not supported; supported: silu, gelu, "
              "gelu_pytorch_tanh, gelu_new, gelu_fast, relu, relu2");
}

// How many layers of a list `layer_types` have a window.
int64_t SlidingLayers(const JsonObject& config) {
  int64_t sliding = 0;
  for (const json& entry : config.List("layer_types", kMaxLayers)) {
    if (entry == "sliding_attention") {
      ++sliding;
    } else if (entry != "full_attention") {
      config.Fail("layer type " + ShortDump(entry) +
                  " is not supported; supported: \"full_attention\", "
                  "\"sliding_attention\"");
    }
  }
  return sliding;
}

int64_t WindowedLayers(const JsonObject& config, Windows windows,
                       int64_t layers) {
  if (windows == Windows::kNone) return 0;
  // Absent is not the same as null.
  if (config.Mentions("sliding_window") && !config.Has("sliding_window")) {
    return 0;
  }
  if (windows == Windows::kAll) return layers;
  if (!config.Bool("use_sliding_window", false)) return 0;
  if (config.Has("layer_types")) return SlidingLayers(config);
  const int64_t without = config.Integer("max_window_layers", 0,
                                         std::numeric_limits<int32_t>::max(),
                                         kDefaultLayersWithoutWindow);
  return layers - std::min(layers, without);
}

// Tokens that every layer sees, the present one among them; 0: all.
int64_t Window(const JsonObject& config, Windows windows, int64_t layers,
               int64_t context) {
  const int64_t windowed = WindowedLayers(config, windows, layers);
  if (config.Has("layer_types") && SlidingLayers(config) != windowed) {
    config.Fail("layer_types do not agree with the sliding window");
  }
  if (windowed == 0) return 0;
  const int64_t window = config.Integer(
      "sliding_window", 1, std::numeric_limits<int32_t>::max(), kDefaultWindow);
  if (window >= context) return 0;
  if (windowed < layers) {
    config.Fail(
        "a sliding window in only some of the layers (use_sliding_window) is "
        "not supported");
  }
  return window;
}

// `scaling` is rope_parameters or rope_scaling.
void ReadScaling(const JsonObject& scaling, int64_t context,
                 RopeScheme& scheme) {
  const std::string type =
      scaling.String("rope_type", scaling.String("type", "default"));
  if (scaling.Number("partial_rotary_factor", 0, 1, 1) != 1) {
    scaling.Fail("partial_rotary_factor is not supported");
  }
  if (type == "default") return;
  if (type == "linear") {
    scheme.scaling = RopeScheme::Scaling::kLinear;
    scheme.factor = scaling.Number("factor", 1e-3, kMaxNumber);
    return;
  }
  if (type != "llama3") {
    scaling.Fail("rope type '" + type +
                 "' is not supported; supported: default, linear, llama3");
  }
  scheme.scaling = RopeScheme::Scaling::kLlama3;
  scheme.factor = scaling.Number("factor", 1e-3, kMaxNumber);
  scheme.low_frequency_factor =
      scaling.Number("low_freq_factor", 1e-6, kMaxNumber);
  scheme.high_frequency_factor =
      scaling.Number("high_freq_factor", 1e-6, kMaxNumber);
  scheme.original_context =
      scaling.Number("original_max_position_embeddings", 1, kMaxNumber,
                     static_cast<double>(context));
  if (scheme.high_frequency_factor <= scheme.low_frequency_factor) {
    scaling.Fail("high_freq_factor must be above low_freq_factor");
  }
}

// The member that counts, nullptr if there is none. As in transformers: unless
// it is empty, rope_scaling replaces all of rope_parameters, the base too.
const char* RopeKey(const JsonObject& config) {
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const json* value = config.Find(key);
    if (value != nullptr && !(value->is_object() && value->empty())) return key;
  }
  return nullptr;
}

RopeScheme ReadRope(const JsonObject& config, int64_t context) {
  RopeScheme scheme;
  const auto read_theta = [&](const JsonObject& object) {
    scheme.theta = object.Number("rope_theta", 1, kMaxNumber, scheme.theta);
  };
  read_theta(config);
  if (config.Number("partial_rotary_factor", 0, 1, 1) != 1) {
    config.Fail("partial_rotary_factor is not supported");
  }
  const char* key = RopeKey(config);
  if (key == nullptr) return scheme;
  const JsonObject scaling = config.Object(key);
  for (const char* layer_type : {"full_attention", "sliding_attention"}) {
    if (scaling.Has(layer_type)) {
      scaling.Fail(
          "rotary embeddings that differ between layers are not supported");
    }
  }
  read_theta(scaling);
  ReadScaling(scaling, context, scheme);
  return scheme;
}

}  // namespace

HuggingFaceConfig ReadHuggingFaceConfig(const JsonObject& config) {
  const Architecture& architecture = FindArchitecture(config);
  RefuseOptions(config);
  HuggingFaceConfig result;
  result.architecture = architecture.name;
  LlamaConfig& llama = result.llama;
  llama.vocab = config.Integer("vocab_size", 1, kMaxSize);
  llama.dim = config.Integer("hidden_size", 1, kMaxSize);
  llama.hidden = config.Integer("intermediate_size", 1, kMaxSize);
  llama.layers = config.Integer("num_hidden_layers", 1, kMaxLayers);
  llama.heads = config.Integer("num_attention_heads", 1, 65536);
  llama.kv_heads =
      config.Integer("num_key_value_heads", 1, llama.heads, llama.heads);
  if (llama.heads % llama.kv_heads != 0) {
    config.Fail("num_attention_heads is no multiple of num_key_value_heads");
  }
  if (!config.Has("head_dim") && llama.dim % llama.heads != 0) {
    config.Fail("hidden_size is no multiple of num_attention_heads");
  }
  llama.head_dim =
      config.Integer("head_dim", 1, 65536, llama.dim / llama.heads);
  if (llama.head_dim % 2 != 0) config.Fail("the head's size is odd");
  llama.rotary_dim = llama.head_dim;
  llama.norm_eps = config.Number("rms_norm_eps", 0, 1, 1e-6);
  llama.activation = Activation(config);
  llama.query_key_value_bias = architecture.query_key_value_bias;
  if (architecture.bias_options) {
    llama.query_key_value_bias = config.Bool("attention_bias", false);
    llama.attention_output_bias = llama.query_key_value_bias;
    llama.mlp_bias = config.Bool("mlp_bias", false);
  }
  result.context =
      config.Integer("max_position_embeddings", 1,
                     std::numeric_limits<int32_t>::max(), architecture.context);
  llama.window =
      Window(config, architecture.windows, llama.layers, result.context);
  result.rope = ReadRope(config, result.context);
  result.tied = config.Bool("tie_word_embeddings", false);
  return result;
}

}  // namespace lutra::packer
