#include "packer/import/gguf/gguf_network.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "lutra/runtime/error.h"

namespace lutra::packer {
namespace {

using nlohmann::json;

struct Renamed {
  std::string_view from;
  std::string_view to;
};

struct GgufArchitecture {
  std::string_view name;
  std::string_view type;     // model_type
  std::string_view network;  // class
  bool permuted;             // rows of queries and keys, see GgufNetwork
  std::string_view act;      // hidden_act, where the file does not say it
  // Names of blocks that differ from the common ones.
  std::initializer_list<Renamed> blocks;
};

constexpr Renamed kCommonBlocks[] = {
    {"attn_norm", "input_layernorm"},
    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},
    {"attn_qkv", "self_attn.qkv_proj"},
    {"attn_output", "self_attn.o_proj"},
    {"attn_q_norm", "self_attn.q_norm"},
    {"attn_k_norm", "self_attn.k_norm"},
    {"attn_sub_norm", "self_attn.attn_sub_norm"},
    {"ffn_norm", "post_attention_layernorm"},
    {"ffn_gate", "mlp.gate_proj"},
    {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
    {"ffn_sub_norm", "mlp.ffn_sub_norm"},
};
constexpr Renamed kOutside[] = {
    {"token_embd", "model.embed_tokens"},
    {"output_norm", "model.norm"},
    {"output", "lm_head"},
};

const GgufArchitecture kArchitectures[] = {
    {"bitnet", "bitnet", "BitNetForCausalLM", false, "silu", {}},
    {"glm4",
     "glm4",
     "Glm4ForCausalLM",
     false,
     "silu",
     {{"ffn_up", "mlp.gate_up_proj"},
      {"post_attention_norm", "post_self_attn_layernorm"},
      {"post_ffw_norm", "post_mlp_layernorm"}}},
    {"granite", "granite", "GraniteForCausalLM", true, "silu", {}},
    {"llama", "llama", "LlamaForCausalLM", true, "silu", {}},
    {"olmo2",
     "olmo2",
     "Olmo2ForCausalLM",
     false,
     "silu",
     {{"post_attention_norm", "post_attention_layernorm"},
      {"post_ffw_norm", "post_feedforward_layernorm"}}},
    {"phi3",
     "phi3",
     "Phi3ForCausalLM",
     false,
     "silu",
     {{"ffn_up", "mlp.gate_up_proj"}}},
    {"qwen2", "qwen2", "Qwen2ForCausalLM", false, "silu", {}},
    {"qwen3", "qwen3", "Qwen3ForCausalLM", false, "silu", {}},
    {"smollm3", "smollm3", "SmolLM3ForCausalLM", true, "silu", {}},
};

const GgufArchitecture* Find(std::string_view name) {
  const auto* found = std::find_if(
      std::begin(kArchitectures), std::end(kArchitectures),
      [&](const GgufArchitecture& row) { return row.name == name; });
  return found == std::end(kArchitectures) ? nullptr : found;
}

// Reads `key` of the architecture into the member `to`.
class Reader {
 public:
  Reader(const GgufFile& file, std::string prefix, json& config)
      : file_(file), prefix_(std::move(prefix)), config_(config) {}

  std::string Key(const char* key) const { return prefix_ + key; }
  std::optional<int64_t> Find(const char* key) const {
    const GgufValue* value = file_.Find(Key(key));
    if (value == nullptr) return std::nullopt;
    if (!value->is_array) return file_.Integer(Key(key));
    // A number for each layer, which must be one.
    const std::vector<double> all = file_.Numbers(Key(key));
    if (all.empty() || std::adjacent_find(all.begin(), all.end(),
                                          std::not_equal_to<>()) != all.end()) {
      file_.Fail(Key(key), "differs between layers, which is not supported");
    }
    if (!(all[0] >= 0 && all[0] <= 1e9))
      file_.Fail(Key(key), "is not possible");
    return static_cast<int64_t>(all[0]);
  }
  int64_t Integer(const char* key, const char* to) {
    const auto value = Find(key);
    if (!value) file_.Fail(Key(key), "is missing");
    config_[to] = *value;
    return *value;
  }
  void Number(const char* key, const char* to) {
    if (const auto value = file_.Number(Key(key))) config_[to] = *value;
  }

 private:
  const GgufFile& file_;
  std::string prefix_;
  json& config_;
};

// The numbers that Granite's layers are scaled by, and what they are called.
constexpr std::pair<const char*, const char*> kScales[] = {
    {"embedding_scale", "embedding_multiplier"},
    {"attention.scale", "attention_multiplier"},
    {"residual_scale", "residual_multiplier"},
    {"logit_scale", "logits_scaling"},
};

void ReadRope(const GgufFile& file, Reader& reader, json& config) {
  reader.Number("rope.freq_base", "rope_theta");
  const auto type = file.Text(reader.Key("rope.scaling.type"));
  if (!type || *type == "none") return;
  json scaling = {{"rope_type", *type}};
  const std::pair<const char*, const char*> members[] = {
      {"rope.scaling.factor", "factor"},
      {"rope.scaling.original_context_length",
       "original_max_position_embeddings"},
      {"rope.scaling.attn_factor", "attention_factor"}};
  for (const auto& [key, to] : members) {
    if (const auto value = file.Number(reader.Key(key))) scaling[to] = *value;
  }
  config["rope_scaling"] = scaling;
}

// The elements of a head that are turned, as a share of all.
void ReadRotaryPart(const GgufFile& file, const Reader& reader, bool permuted,
                    json& config) {
  constexpr const char* kKey = "rope.dimension_count";
  const auto turned = reader.Find(kKey);
  const auto heads = config["num_attention_heads"].get<int64_t>();
  if (!turned || heads < 1) return;
  const auto head_dim = config.contains("head_dim")
                            ? config["head_dim"].get<int64_t>()
                            : config["hidden_size"].get<int64_t>() / heads;
  if (*turned < 2 || *turned > head_dim || (permuted && *turned != head_dim)) {
    file.Fail(reader.Key(kKey), "is " + std::to_string(*turned) + " of " +
                                    std::to_string(head_dim) +
                                    ", which is not supported");
  }
  // Upwards, so that the product with the head is not below the whole number.
  const double share =
      static_cast<double>(*turned) / static_cast<double>(head_dim);
  config["partial_rotary_factor"] = std::nextafter(share, 1.0);
}

bool Has(const std::vector<const GgufTensor*>& tensors, std::string_view name) {
  return std::any_of(
      tensors.begin(), tensors.end(),
      [&](const GgufTensor* tensor) { return tensor->name == name; });
}

}  // namespace

GgufNetwork ReadGgufNetwork(const GgufFile& first,
                            const std::vector<const GgufTensor*>& tensors) {
  const std::string name = first.Text("general.architecture").value_or("");
  const GgufArchitecture* architecture = Find(name);
  if (architecture == nullptr) {
    std::string known;
    for (const GgufArchitecture& row : kArchitectures) {
      known += known.empty() ? "" : ", ";
      known += row.name;
    }
    throw Error::InFile(
        first.path(),
        "architecture '" + name + "' is not supported; supported: " + known,
        ErrorCode::kUnsupported);
  }
  GgufNetwork network;
  json& config = network.config;
  config["architectures"] = {std::string(architecture->network)};
  config["model_type"] = std::string(architecture->type);
  Reader reader(first, name + ".", config);
  // BitNet's of Microsoft say relu2.
  config["hidden_act"] = first.Text(reader.Key("hidden_activation"))
                             .value_or(std::string(architecture->act));
  reader.Integer("context_length", "max_position_embeddings");
  reader.Integer("embedding_length", "hidden_size");
  reader.Integer("block_count", "num_hidden_layers");
  reader.Integer("feed_forward_length", "intermediate_size");
  const int64_t heads =
      reader.Integer("attention.head_count", "num_attention_heads");
  const int64_t key_heads =
      reader.Find("attention.head_count_kv").value_or(heads);
  config["num_key_value_heads"] = key_heads;
  if (const auto dim = reader.Find("attention.key_length")) {
    if (reader.Find("attention.value_length").value_or(*dim) != *dim) {
      first.Fail(reader.Key("attention.value_length"),
                 "is another than that of keys, which is not supported");
    }
    config["head_dim"] = *dim;
  }
  ReadRotaryPart(first, reader, architecture->permuted, config);
  reader.Number("attention.layer_norm_rms_epsilon", "rms_norm_eps");
  ReadRope(first, reader, config);
  for (const auto& [key, to] : kScales) reader.Number(key, to);
  const auto embedding = std::find_if(
      tensors.begin(), tensors.end(), [](const GgufTensor* tensor) {
        return tensor->name == "token_embd.weight";
      });
  if (embedding == tensors.end()) {
    throw Error::InTensor(first.path(), "token_embd.weight", "is missing");
  }
  config["vocab_size"] = std::min<uint64_t>(
      (*embedding)->rows(), std::numeric_limits<int64_t>::max());
  config["tie_word_embeddings"] = !Has(tensors, "output.weight");
  config["attention_bias"] = Has(tensors, "blk.0.attn_q.bias");
  config["mlp_bias"] = Has(tensors, "blk.0.ffn_down.bias");
  if (architecture->permuted) {
    network.query_heads = heads;
    network.key_heads = key_heads;
  }
  return network;
}

std::optional<std::string> HuggingFaceName(std::string_view architecture,
                                           std::string_view name) {
  const GgufArchitecture* row = Find(architecture);
  const size_t dot = name.rfind('.');
  if (row == nullptr || dot == std::string_view::npos) return std::nullopt;
  const std::string ending(name.substr(dot));  // ".weight" or ".bias"
  const std::string_view stem = name.substr(0, dot);
  for (const Renamed& entry : kOutside) {
    if (stem == entry.from) return std::string(entry.to) + ending;
  }
  constexpr std::string_view kBlock = "blk.";
  const size_t number_end = stem.find('.', kBlock.size());
  if (!stem.starts_with(kBlock) || number_end == std::string_view::npos) {
    return std::nullopt;
  }
  const std::string layer(
      stem.substr(kBlock.size(), number_end - kBlock.size()));
  const std::string_view part = stem.substr(number_end + 1);
  const auto rename = [&](auto begin, auto end) -> std::optional<std::string> {
    for (auto entry = begin; entry != end; ++entry) {
      if (entry->from == part) {
        return "model.layers." + layer + "." + std::string(entry->to) + ending;
      }
    }
    return std::nullopt;
  };
  const auto own = rename(row->blocks.begin(), row->blocks.end());
  return own ? own : rename(std::begin(kCommonBlocks), std::end(kCommonBlocks));
}

}  // namespace lutra::packer
