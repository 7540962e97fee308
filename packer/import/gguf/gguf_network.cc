#include "packer/import/gguf/gguf_network.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "lutra/runtime/error.h"
#include "packer/architectures/rope.h"

namespace lutra::packer {
namespace {

using nlohmann::json;

// Reads `key` of the architecture into the member `to`.
class NetworkReader {
 public:
  NetworkReader(const GgufFile& file, std::string prefix, json& config)
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
  // One for each layer, or one alone.
  std::vector<double> PerLayer(const char* key) const {
    const GgufValue* value = file_.Find(Key(key));
    if (value != nullptr && value->is_array) return file_.Numbers(Key(key));
    const auto number = file_.Integer(Key(key));
    if (!number) return {};
    return {static_cast<double>(*number)};
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

void ReadRope(const GgufFile& file, NetworkReader& reader, json& config) {
  reader.Number("rope.freq_base", "rope_theta");
  const auto type = file.Text(reader.Key("rope.scaling.type"));
  if (!type || *type == "none") return;
  json scaling = {{"rope_type", *type}};
  // Its ramp ends between pairs.
  if (config["model_type"] == "gpt_oss") scaling["truncate"] = false;
  const std::pair<const char*, const char*> members[] = {
      {"rope.scaling.factor", "factor"},
      {"rope.scaling.original_context_length",
       "original_max_position_embeddings"},
      {"rope.scaling.yarn_attn_factor", "attention_factor"},
      {"rope.scaling.yarn_beta_fast", "beta_fast"},
      {"rope.scaling.yarn_beta_slow", "beta_slow"}};
  for (const auto& [key, to] : members) {
    if (const auto value = file.Number(reader.Key(key))) scaling[to] = *value;
  }
  // Of files that say only by what to multiply what follows from the factor.
  const auto more = file.Number(reader.Key("rope.scaling.attn_factor"));
  if (more && !scaling.contains("attention_factor")) {
    RopeScheme scheme;
    scheme.scaling = RopeScheme::Scaling::kYarn;
    scheme.factor = scaling.value("factor", 1.0);
    const bool yarn = *type == "yarn";
    scaling["attention_factor"] = yarn ? *more * RopeScale(scheme) : *more;
  }
  config["rope_scaling"] = scaling;
}

// The numbers of a tensor of float32; empty if there is none.
std::vector<float> Numbers(const GgufFile& file,
                           const std::vector<const GgufTensor*>& tensors,
                           std::string_view name) {
  std::vector<float> numbers;
  for (const GgufTensor* tensor : tensors) {
    if (tensor->name != name) continue;
    const uint64_t count = tensor->columns();
    if (tensor->type != 0 || tensor->shape.size() != 1 ||
        count > tensor->room.size() / sizeof(float)) {
      throw Error::InTensor(file.path(), tensor->name,
                            "is no list of float32 numbers");
    }
    numbers.resize(static_cast<size_t>(count));
    std::memcpy(numbers.data(), tensor->room.data(),
                numbers.size() * sizeof(float));
  }
  return numbers;
}

// Phi's factors of the frequencies are two tensors.
void ReadLongRope(const GgufFile& file,
                  const std::vector<const GgufTensor*>& tensors,
                  const NetworkReader& reader, json& config) {
  const auto longer = Numbers(file, tensors, kLongFactors);
  if (longer.empty()) return;
  json scaling = {{"rope_type", "longrope"},
                  {"long_factor", longer},
                  {"short_factor", Numbers(file, tensors, kShortFactors)}};
  const std::pair<const char*, const char*> members[] = {
      {"rope.scaling.original_context_length",
       "original_max_position_embeddings"},
      {"rope.scaling.attn_factor", "attention_factor"}};
  for (const auto& [key, to] : members) {
    if (const auto value = file.Number(reader.Key(key))) scaling[to] = *value;
  }
  config["rope_scaling"] = std::move(scaling);
}

// The elements of a head that are turned, as a share of all.
void ReadRotaryPart(const GgufFile& file, const NetworkReader& reader,
                    bool permuted, json& config) {
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

// What llama.cpp knows of Gemma 2 and 3 that the files do not say: queries of
// the largest are scaled by the width that all heads share.
void ReadGemma(const GgufFile& file, NetworkReader& reader, int64_t largest,
               json& config) {
  const auto heads = config["num_attention_heads"].get<int64_t>();
  config["query_pre_attn_scalar"] =
      config["num_hidden_layers"] == largest && heads > 0
          ? config["hidden_size"].get<int64_t>() / heads
          : config["head_dim"].get<int64_t>();
  const std::pair<const char*, const char*> members[] = {
      {"attention.sliding_window", "sliding_window"},
      {"attention.sliding_window_pattern", "sliding_window_pattern"}};
  for (const auto& [key, to] : members) {
    if (const auto value = reader.Find(key)) config[to] = *value;
  }
  for (const char* key :
       {"attn_logit_softcapping", "final_logit_softcapping"}) {
    reader.Number(key, key);
  }
  if (const auto base = file.Number(reader.Key("rope.freq_base_swa"))) {
    config["rope_local_base_freq"] = *base;
  }
}

// Layers without heads of keys are convolutions.
void ReadLfm2(const GgufFile& file, NetworkReader& reader, json& config) {
  constexpr const char* kHeads = "attention.head_count_kv";
  const std::vector<double> heads = reader.PerLayer(kHeads);
  double most = 0;
  json types = json::array();
  for (const double count : heads) {
    most = std::max(most, count);
    types.push_back(count == 0 ? "conv" : "full_attention");
  }
  if (!(most >= 1 && most <= 1e9)) {
    file.Fail(reader.Key(kHeads), "is not possible");
  }
  config["num_key_value_heads"] = static_cast<int64_t>(most);
  if (heads.size() > 1) config["layer_types"] = std::move(types);
  config["block_auto_adjust_ff_dim"] = false;
  reader.Integer("shortconv.l_cache", "conv_L_cache");
}

// What ReadRope left, as members of the newer spelling.
json TakeRope(json& config) {
  json rope = config.value("rope_scaling", json{{"rope_type", "default"}});
  rope["rope_theta"] = config.value("rope_theta", 10000.0);
  config.erase("rope_scaling");
  return rope;
}

// Windows in all layers but those of the pattern, every fourth; where there is
// one the frequencies are not scaled.
void ReadOlmo3(const GgufFile& file, NetworkReader& reader, json& config) {
  reader.Integer("attention.sliding_window", "sliding_window");
  constexpr const char* kPattern = "attention.sliding_window_pattern";
  const GgufValue* pattern = file.Find(reader.Key(kPattern));
  if (pattern != nullptr && pattern->is_array) {
    json types = json::array();
    for (const double windowed : file.Numbers(reader.Key(kPattern))) {
      types.push_back(windowed != 0 ? "sliding_attention" : "full_attention");
    }
    config["layer_types"] = std::move(types);
  }
  json full = TakeRope(config);
  config["rope_parameters"] = {
      {"sliding_attention",
       {{"rope_type", "default"}, {"rope_theta", full["rope_theta"]}}},
      {"full_attention", std::move(full)}};
}

// Layers with windows and without differ in nearly everything.
void ReadGemma4(const GgufFile& file,
                const std::vector<const GgufTensor*>& tensors,
                NetworkReader& reader, json& config) {
  reader.Integer("attention.sliding_window", "sliding_window");
  const auto layers = config["num_hidden_layers"].get<int64_t>();
  const auto per_layer = [&](const char* key) {
    std::vector<double> all = reader.PerLayer(key);
    if (all.size() == 1) all.resize(static_cast<size_t>(layers), all[0]);
    if (all.size() != static_cast<size_t>(layers)) {
      file.Fail(reader.Key(key), "is not one number for each layer");
    }
    return all;
  };
  const auto windowed = per_layer("attention.sliding_window_pattern");
  const auto key_heads = per_layer("attention.head_count_kv");
  const auto feed = per_layer("feed_forward_length");
  const int64_t shared = reader.Find("attention.shared_kv_layers").value_or(0);
  const auto whole = [&](const char* key, double number) {
    if (!(number >= 1 && number <= 1e9)) {
      file.Fail(reader.Key(key), "is not possible");
    }
    return static_cast<int64_t>(number);
  };
  json types = json::array();
  json own = json::object();
  for (size_t i = 0; i < windowed.size(); ++i) {
    const bool window = windowed[i] != 0;
    types.push_back(window ? "sliding_attention" : "full_attention");
    const int64_t heads = whole("attention.head_count_kv", key_heads[i]);
    if (window) {
      config["num_key_value_heads"] = heads;
    } else {
      own[std::to_string(i)] = {{"head_dim", config["head_dim"]},
                                {"num_key_value_heads", heads}};
      // Where there are no values they are the keys.
      const std::string block = "blk." + std::to_string(i) + ".attn_";
      config["attention_k_eq_v"] =
          Has(tensors, block + "k.weight") && !Has(tensors, block + "v.weight");
    }
    // Layers without keys of their own may be twice as wide.
    const bool wide = static_cast<int64_t>(i) >= layers - shared &&
                      feed.back() == 2 * feed[0];
    if (feed[i] != (wide ? 2 : 1) * feed[0]) {
      file.Fail(reader.Key("feed_forward_length"),
                "differs between layers in another way than is supported");
    }
    config["use_double_wide_mlp"] = wide;
  }
  config["intermediate_size"] = whole("feed_forward_length", feed[0]);
  config["layer_types"] = std::move(types);
  config["per_layer_config"] = std::move(own);
  config["num_kv_shared_layers"] = shared;
  reader.Integer("attention.key_length_swa", "head_dim");
  config["hidden_size_per_layer_input"] =
      reader.Find("embedding_length_per_layer_input").value_or(0);
  for (const GgufTensor* tensor : tensors) {
    if (tensor->name != "per_layer_token_embd.weight") continue;
    config["vocab_size_per_layer_input"] =
        std::min<uint64_t>(tensor->rows(), std::numeric_limits<int64_t>::max());
  }
  reader.Number("final_logit_softcapping", "final_logit_softcapping");
  // Pairs that are not turned are divided by a number beyond all.
  const std::vector<float> factors = Numbers(file, tensors, kRopeFactors);
  const auto turned = std::count(factors.begin(), factors.end(), 1.0f);
  config["rope_parameters"] = {
      {"full_attention",
       {{"rope_type", "proportional"},
        {"rope_theta", config.value("rope_theta", 1e6)},
        {"partial_rotary_factor",
         factors.empty() ? 1.0
                         : static_cast<double>(turned) /
                               static_cast<double>(factors.size())}}},
      {"sliding_attention",
       {{"rope_type", "default"},
        {"rope_theta",
         file.Number(reader.Key("rope.freq_base_swa")).value_or(1e4)}}}};
  config.erase("rope_theta");
  config.erase("partial_rotary_factor");
}

// Queries grow with the text. The factor of the frequencies' cosines and sines
// is made of two numbers, which are one here.
void ReadMinistral3(const GgufFile& file, const NetworkReader& reader,
                    json& config) {
  json rope = TakeRope(config);
  const std::pair<const char*, const char*> members[] = {
      {"rope.scaling.yarn_log_multiplier", "mscale"},
      {"rope.scaling.yarn_log_multiplier", "mscale_all_dim"},
      {"attention.temperature_scale", "llama_4_scaling_beta"}};
  for (const auto& [key, to] : members) {
    if (const auto value = file.Number(reader.Key(key))) rope[to] = *value;
  }
  config["rope_parameters"] = std::move(rope);
  config["sliding_window"] = nullptr;
}

// In three of four layers linear attention, of heads of its own.
void ReadQwen35(const GgufFile& file, NetworkReader& reader,
                GgufNetwork& network) {
  json& config = network.config;
  const int64_t extra = reader.Find("nextn_predict_layers").value_or(0);
  const int64_t layers = config["num_hidden_layers"].get<int64_t>() - extra;
  if (extra < 0 || layers < 1) {
    file.Fail(reader.Key("nextn_predict_layers"), "is not possible");
  }
  config["num_hidden_layers"] = layers;
  if (extra > 0) network.beyond = layers;
  config["full_attention_interval"] =
      reader.Find("full_attention_interval").value_or(4);
  reader.Integer("ssm.conv_kernel", "linear_conv_kernel_dim");
  const int64_t keys =
      reader.Integer("ssm.group_count", "linear_num_key_heads");
  const int64_t values =
      reader.Integer("ssm.time_step_rank", "linear_num_value_heads");
  reader.Integer("ssm.state_size", "linear_key_head_dim");
  constexpr const char* kInner = "ssm.inner_size";
  const int64_t inner = reader.Find(kInner).value_or(0);
  constexpr int64_t kMostHeads = 65536;
  constexpr int64_t kMostWidth = int64_t{1} << 30;
  if (keys < 1 || values > kMostHeads || values < 1 || values % keys != 0 ||
      inner < 1 || inner > kMostWidth || inner % values != 0) {
    file.Fail(reader.Key(kInner), "is not that of heads of keys and values");
  }
  config["linear_value_head_dim"] = inner / values;
  network.value_heads = {static_cast<size_t>(keys), static_cast<size_t>(values),
                         static_cast<size_t>(inner / values)};
}

// GPT-2's own names.
void RenameGpt2(json& config) {
  const std::pair<const char*, const char*> members[] = {
      {"hidden_size", "n_embd"},
      {"num_hidden_layers", "n_layer"},
      {"num_attention_heads", "n_head"},
      {"max_position_embeddings", "n_positions"},
      {"intermediate_size", "n_inner"}};
  for (const auto& [from, to] : members) {
    config[to] = config[from];
    config.erase(from);
  }
}

// How the vector of a text is made of those of its tokens.
EncoderHead ReadPooling(const GgufFile& file, const NetworkReader& reader) {
  constexpr const char* kKey = "pooling_type";
  constexpr int64_t kMean = 1;
  constexpr int64_t kFirst = 2;
  EncoderHead head;
  const int64_t pooling = reader.Find(kKey).value_or(kMean);
  if (pooling == kFirst) head.pool = EncoderHead::Pool::kFirst;
  if (pooling != kMean && pooling != kFirst) {
    file.Fail(reader.Key(kKey), "is " + std::to_string(pooling) +
                                    ", which is not supported; supported: 1 "
                                    "(mean), 2 (first)");
  }
  return head;
}

void ReadExperts(NetworkReader& reader, std::string_view type, json& config) {
  reader.Integer("expert_count", "num_experts");
  const int64_t used =
      reader.Integer("expert_used_count", "num_experts_per_tok");
  if (type == "mixtral") {
    config["sliding_window"] = nullptr;
  } else if (type == "gpt_oss") {
    reader.Integer("attention.sliding_window", "sliding_window");
  } else if (type == "olmoe") {
    config["norm_topk_prob"] = false;
    reader.Number("attention.clamp_kqv", "clip_qkv");
  } else if (type == "granitemoe") {
    // They are what feed_forward_length says.
  } else if (type == "gemma4_text") {
    config["enable_moe_block"] = true;
    config["top_k_experts"] = used;
    reader.Integer("expert_feed_forward_length", "moe_intermediate_size");
  } else {
    config["norm_topk_prob"] = true;
    reader.Integer("expert_feed_forward_length", "moe_intermediate_size");
  }
}

}  // namespace

bool GgufNetwork::IsBeyond(std::string_view name) const {
  constexpr std::string_view kBlock = "blk.";
  if (beyond == 0 || !name.starts_with(kBlock)) return false;
  const char* end = name.data() + name.size();
  int64_t block = -1;
  std::from_chars(name.data() + kBlock.size(), end, block);
  return block >= beyond;
}

GgufNetwork ReadGgufNetwork(const GgufFile& first,
                            const std::vector<const GgufTensor*>& tensors) {
  const std::string name = first.Text("general.architecture").value_or("");
  const bool experts = first.Integer(name + ".expert_count").value_or(0) > 0;
  const bool windows =
      first.Integer(name + ".attention.sliding_window").value_or(0) > 0;
  const GgufArchitecture* architecture =
      FindGgufArchitecture(name, experts, windows);
  if (architecture == nullptr) {
    std::string known;
    std::string_view last;
    for (const GgufArchitecture& row : GgufArchitectures()) {
      if (row.name == last) continue;
      last = row.name;
      known += known.empty() ? "" : ", ";
      known += row.name;
    }
    throw Error::InFile(
        first.path(),
        "architecture '" + name + "' is not supported; supported: " + known,
        ErrorCode::kUnsupported);
  }
  GgufNetwork network;
  network.architecture = architecture;
  json& config = network.config;
  config["architectures"] = {std::string(architecture->network)};
  config["model_type"] = std::string(architecture->type);
  NetworkReader reader(first, name + ".", config);
  // BitNet's of Microsoft say relu2.
  config[std::string(architecture->act_key)] =
      first.Text(reader.Key("hidden_activation"))
          .value_or(std::string(architecture->act));
  reader.Integer("context_length", "max_position_embeddings");
  reader.Integer("embedding_length", "hidden_size");
  const int64_t blocks = reader.Integer("block_count", "num_hidden_layers");
  // Each has tensors, and what is made for each must be vouched for.
  if (blocks < 1 || static_cast<uint64_t>(blocks) > tensors.size()) {
    first.Fail(reader.Key("block_count"),
               "is " + std::to_string(blocks) + ", of " +
                   std::to_string(tensors.size()) + " tensors");
  }
  const std::string_view type = architecture->type;
  // Where all layers have experts, older files do not say it.
  if (type == "gemma4_text") {
    config["num_key_value_heads"] = 1;
  } else if (architecture->experts && !reader.Find("feed_forward_length")) {
    reader.Integer("expert_feed_forward_length", "intermediate_size");
  } else {
    reader.Integer("feed_forward_length", "intermediate_size");
  }
  const int64_t heads =
      reader.Integer("attention.head_count", "num_attention_heads");
  if (const auto dim = reader.Find("attention.key_length")) {
    if (reader.Find("attention.value_length").value_or(*dim) != *dim) {
      first.Fail(reader.Key("attention.value_length"),
                 "is another than that of keys, which is not supported");
    }
    config["head_dim"] = *dim;
  } else if (architecture->norms_plus_one) {
    first.Fail(reader.Key("attention.key_length"), "is missing");
  }
  if (type == "lfm2") {
    ReadLfm2(first, reader, config);
  } else if (type != "gemma4_text") {
    config["num_key_value_heads"] =
        reader.Find("attention.head_count_kv").value_or(heads);
  }
  ReadRotaryPart(first, reader, architecture->permuted, config);
  const std::string eps_key(architecture->eps_key);
  for (const char* key :
       {"attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon"}) {
    reader.Number(key, eps_key.c_str());
  }
  ReadRope(first, reader, config);
  ReadLongRope(first, tensors, reader, config);
  if (type == "gemma2") ReadGemma(first, reader, 46, config);
  if (type == "gemma3_text") ReadGemma(first, reader, 62, config);
  if (type == "gemma4_text") ReadGemma4(first, tensors, reader, config);
  if (type == "olmo3") ReadOlmo3(first, reader, config);
  if (type == "qwen3_5_text") ReadQwen35(first, reader, network);
  if (type == "ministral3") ReadMinistral3(first, reader, config);
  // Of Gemma 4 some have experts.
  if (architecture->experts || (type == "gemma4_text" && experts)) {
    ReadExperts(reader, type, config);
  }
  if (type == "cohere2") {
    reader.Number("logit_scale", "logit_scale");
    reader.Integer("attention.sliding_window", "sliding_window");
  } else {
    for (const auto& [key, to] : kScales) reader.Number(key, to);
  }
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
  if (type == "bert") {
    network.head = ReadPooling(first, reader);
    for (const GgufTensor* tensor : tensors) {
      if (tensor->name != "token_types.weight") continue;
      config["type_vocab_size"] = std::min<uint64_t>(
          tensor->rows(), std::numeric_limits<int64_t>::max());
    }
  }
  if (type == "starcoder2") config["use_bias"] = config["attention_bias"];
  if (type == "stablelm") {
    config["use_qkv_bias"] = config["attention_bias"];
    // Both parts read one norm.
    config["use_parallel_residual"] = !Has(tensors, "blk.0.ffn_norm.weight");
  }
  if (type == "gpt2") RenameGpt2(config);
  if (architecture->permuted) {
    network.query_heads = heads;
    network.key_heads = config["num_key_value_heads"].get<int64_t>();
  }
  return network;
}

}  // namespace lutra::packer
