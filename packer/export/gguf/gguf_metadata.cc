#include "packer/export/gguf/gguf_metadata.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "lutra/runtime/error.h"
#include "packer/architectures/architecture.h"
#include "packer/architectures/rope.h"
#include "packer/import/gguf/gguf_network.h"
#include "packer/weights/row_source.h"
#include "runtime/base/json_object.h"

namespace lutra::packer {
namespace {

using nlohmann::json;

constexpr float kFrequencyRounding = 1.0f / 128;  // to 16-bit floats

// The text model's of a multimodal configuration.
JsonObject TextConfig(const ExportTensors& source) {
  const JsonObject config(source.config(), source.model().path(),
                          "'lutra.config'");
  return config.Has("text_config") ? config.Object("text_config") : config;
}

const Node* FirstNode(const Graph& graph, OpType op) {
  const auto found =
      std::find_if(graph.nodes.begin(), graph.nodes.end(),
                   [op](const Node& node) { return node.op == op; });
  return found == graph.nodes.end() ? nullptr : &*found;
}

// The rotary embedding of the configuration, as far as metadata can say it.
struct Rope {
  double theta = 10000;
  std::string type = "default";
  double factor = 1;
  double original_context = 0;
  double attention_factor = 0;
  double beta_fast = 0;
  double beta_slow = 0;
  // Of kLongRope.
  std::vector<float> short_factors;
  std::vector<float> long_factors;
};
constexpr const char* kLongRope = "longrope";

Rope ReadRope(const JsonObject& config, std::string_view type) {
  Rope rope;
  // Where the configuration is silent: those of transformers' classes.
  if (type == "lfm2" || type == "mixtral" || type == "gemma3_text") {
    rope.theta = 1e6;
  }
  if (type == "smollm3") rope.theta = 2e6;
  if (type == "gemma4_text") rope.theta = 1e6;
  constexpr double kMost = 1e12;
  rope.theta = config.Number("rope_theta", 1, kMost, rope.theta);
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const json* value = config.Find(key);
    if (value == nullptr || !value->is_object() || value->empty()) continue;
    const JsonObject all = config.Object(key);
    const JsonObject scaling =
        all.Has("full_attention") ? all.Object("full_attention") : all;
    rope.theta = scaling.Number("rope_theta", 1, kMost, rope.theta);
    rope.type = scaling.String("rope_type", scaling.String("type", rope.type));
    rope.factor = scaling.Number("factor", 0, kMost, 1);
    constexpr const char* kOriginal = "original_max_position_embeddings";
    rope.original_context = config.Number(
        kOriginal, 0, kMost, scaling.Number(kOriginal, 0, kMost, 0));
    const auto read = [&](const char* list, std::vector<float>& factors) {
      if (!scaling.Has(list)) return;
      for (const json& factor : scaling.List(list, 65536)) {
        if (factor.is_number()) factors.push_back(factor.get<float>());
      }
    };
    read("short_factor", rope.short_factors);
    read("long_factor", rope.long_factors);
    rope.attention_factor = scaling.Number("attention_factor", 0, kMost, 0);
    rope.beta_fast = scaling.Number("beta_fast", 0, kMost, 0);
    rope.beta_slow = scaling.Number("beta_slow", 0, kMost, 0);
    break;
  }
  return rope;
}

bool IsScaledByMetadata(const Rope& rope) {
  return rope.type == "linear" || rope.type == "yarn";
}

// The number in the name of a layer's value, "layers.3.attention".
size_t LayerOf(const std::string& value) {
  const size_t digit = value.find_first_of("0123456789");
  return digit == std::string::npos
             ? std::string::npos
             : std::strtoul(value.c_str() + digit, nullptr, 10);
}

// The frequencies of the first layer without a window; "" if all have one.
std::string FullRope(const Graph& graph) {
  for (const Node& node : graph.nodes) {
    if (node.op != OpType::kAttention || NumberAttribute(node, "window") > 0) {
      continue;
    }
    for (const Node& rope : graph.nodes) {
      if (rope.op == OpType::kRope &&
          LayerOf(rope.output) == LayerOf(node.output)) {
        return rope.weight;
      }
    }
  }
  return "";
}

// Numbers of the file are float32.
bool Near(double a, double b) {
  return std::abs(a - b) <= 1e-6 * std::max(std::abs(a), std::abs(b));
}

class Writer {
 public:
  Writer(const ExportTensors& source, const GgufArchitecture& architecture,
         GgufWriter& out)
      : source_(source),
        architecture_(architecture),
        config_(TextConfig(source)),
        prefix_(std::string(architecture.name) + "."),
        out_(out) {}

  void Write() {
    out_.Text("general.architecture", architecture_.name);
    CopyEither("max_position_embeddings", "n_positions", "context_length");
    CopyEither("hidden_size", "n_embd", "embedding_length");
    CopyEither("num_hidden_layers", "n_layer", "block_count");
    WriteFeed();
    WriteAttention();
    const Graph& graph = source_.network().graph;
    const std::pair<OpType, const char*> norms[] = {
        {OpType::kRmsNorm, "attention.layer_norm_rms_epsilon"},
        {OpType::kLayerNorm, "attention.layer_norm_epsilon"}};
    for (const auto& [op, key] : norms) {
      const Node* norm = FirstNode(graph, op);
      if (norm != nullptr) Number(key, NumberAttribute(*norm, "eps"));
    }
    Integer("vocab_size", source_.network().vocab);
    WriteRope();
    WriteOwn();
  }

 private:
  std::string Key(std::string_view key) const {
    return prefix_ + std::string(key);
  }
  void Integer(std::string_view key, int64_t value) {
    out_.Integer(Key(key), static_cast<uint32_t>(value));
  }
  void Number(std::string_view key, double value) {
    out_.Number(Key(key), static_cast<float>(value));
  }
  int64_t Count(const char* key) const {
    return config_.Integer(key, 1, INT32_MAX);
  }
  void Copy(const char* key, std::string_view to) { Integer(to, Count(key)); }
  // Of GPT-2, which has names of its own.
  void CopyEither(const char* key, const char* of_gpt2, std::string_view to) {
    Copy(architecture_.type == "gpt2" ? of_gpt2 : key, to);
  }
  // Numbers that may be left out.
  void CopyNumber(const char* key, std::string_view to) {
    if (config_.Has(key)) Number(to, config_.Number(key, -1e30, 1e30));
  }

  void WriteFeed() {
    const Graph& graph = source_.network().graph;
    const bool gemma4 = architecture_.type == "gemma4_text";
    const Node* route = FirstNode(graph, OpType::kRoute);
    if (gemma4) {
      WriteFeedOfLayers();
    } else {
      // What the configuration says is not what LFM2 has; GPT-2's may be
      // silent.
      Integer("feed_forward_length",
              architecture_.type == "lfm2"   ? RowsOf("feed_forward.w1.weight")
              : architecture_.type == "gpt2" ? RowsOf("mlp.c_fc.weight")
                                             : Count("intermediate_size"));
    }
    if (route == nullptr) return;
    if (architecture_.type == "gpt_oss") {
      Copy("intermediate_size", "expert_feed_forward_length");
    }
    const Node* experts = FirstNode(graph, OpType::kExpertLinear);
    Integer("expert_count",
            static_cast<int64_t>(CountAttribute(*experts, "experts")));
    Integer("expert_used_count",
            static_cast<int64_t>(CountAttribute(*route, "count")));
    if (architecture_.type == "qwen3_moe" || gemma4) {
      Copy("moe_intermediate_size", "expert_feed_forward_length");
    }
    CopyNumber("clip_qkv", "attention.clamp_kqv");
  }

  void WriteFeedOfLayers() {
    std::vector<int32_t> rows;
    for (int64_t i = 0; i < Count("num_hidden_layers"); ++i) {
      rows.push_back(static_cast<int32_t>(
          RowsOf("layers." + std::to_string(i) + ".mlp.up_proj.weight")));
    }
    out_.Integers(Key("feed_forward_length"), rows);
  }

  // Of the first tensor whose name ends so.
  int64_t RowsOf(std::string_view ending) const {
    for (const auto& [name, tensor] : source_.tensors()) {
      if (name.ends_with(ending)) return static_cast<int64_t>(tensor.rows);
    }
    return 0;
  }

  void WriteAttention() {
    const auto layers = static_cast<size_t>(
        Count(architecture_.type == "gpt2" ? "n_layer" : "num_hidden_layers"));
    std::vector<int32_t> key_heads(layers, 0);
    const auto windowed = std::make_unique<bool[]>(layers);
    int64_t heads = 0;
    double window = 0;
    size_t full = 0;  // the first layer without a window, from 1 on
    for (const Node& node : source_.network().graph.nodes) {
      if (node.op != OpType::kAttention) continue;
      heads = static_cast<int64_t>(CountAttribute(node, "heads"));
      const size_t layer = LayerOf(node.output);
      if (layer < key_heads.size()) {
        key_heads[layer] =
            static_cast<int32_t>(CountAttribute(node, "kv_heads"));
      }
      const double own = NumberAttribute(node, "window");
      window = std::max(window, own);
      if (layer < layers) windowed[layer] = own > 0;
      if (own == 0 && full == 0) full = layer + 1;
    }
    Integer("attention.head_count", heads);
    if (architecture_.type == "lfm2" || architecture_.type == "gemma4_text") {
      out_.Integers(Key("attention.head_count_kv"), key_heads);
    } else {
      Integer("attention.head_count_kv",
              *std::max_element(key_heads.begin(), key_heads.end()));
    }
    const Node* rope = FirstNode(source_.network().graph, OpType::kRope);
    if (rope != nullptr) {
      int64_t dim = static_cast<int64_t>(CountAttribute(*rope, "head_dim"));
      if (architecture_.type == "gemma4_text") {
        const std::span<const bool> all(windowed.get(), layers);
        Integer("attention.key_length_swa", HeadDim(all, true));
        Integer("attention.value_length_swa", HeadDim(all, true));
        Integer("rope.dimension_count_swa", HeadDim(all, true));
        dim = HeadDim(all, false);
        Integer("rope.dimension_count", dim);
      }
      Integer("attention.key_length", dim);
      Integer("attention.value_length", dim);
    }
    constexpr std::string_view kWindowed[] = {
        "gemma2", "gemma3_text", "cohere2", "gemma4_text", "gpt_oss", "olmo3"};
    if (std::find(std::begin(kWindowed), std::end(kWindowed),
                  architecture_.type) == std::end(kWindowed)) {
      return;
    }
    if (architecture_.type == "olmo3" || architecture_.type == "gemma4_text") {
      out_.Bools(Key("attention.sliding_window_pattern"),
                 {windowed.get(), layers});
    }
    // A window as long as the context is none.
    Integer("attention.sliding_window", window > 0
                                            ? static_cast<int64_t>(window)
                                            : Count("max_position_embeddings"));
    constexpr size_t kCommon = 6;
    if (architecture_.type == "gemma3_text" && window > 0 && full > 0 &&
        full != kCommon) {
      Integer("attention.sliding_window_pattern", static_cast<int64_t>(full));
    }
  }

  // Of layers with windows or without; 0 if there are none.
  int64_t HeadDim(std::span<const bool> windowed, bool with) const {
    for (const Node& node : source_.network().graph.nodes) {
      if (node.op != OpType::kRope) continue;
      const size_t layer = LayerOf(node.output);
      if (layer >= windowed.size() || windowed[layer] != with) continue;
      return static_cast<int64_t>(CountAttribute(node, "head_dim"));
    }
    return 0;
  }

  void WriteRope() {
    if (FirstNode(source_.network().graph, OpType::kRope) == nullptr) return;
    const Rope rope = ReadRope(config_, architecture_.type);
    Number("rope.freq_base", rope.theta);
    if (architecture_.type == "gemma4_text") {
      const bool has = config_.Has("rope_parameters");
      Number("rope.freq_base_swa", has ? config_.Object("rope_parameters")
                                             .Object("sliding_attention")
                                             .Number("rope_theta", 1, 1e12, 1e4)
                                       : 1e4);
      return;
    }
    for (const NetworkTensor& tensor : source_.network().tensors) {
      if (!tensor.name.starts_with("lutra.rope")) continue;
      Integer("rope.dimension_count",
              static_cast<int64_t>(2 * tensor.values.size()));
      break;
    }
    if (rope.type == kLongRope) {
      const Node* turns = FirstNode(source_.network().graph, OpType::kRope);
      Integer("rope.scaling.original_context_length",
              static_cast<int64_t>(rope.original_context));
      Number("rope.scaling.attn_factor", NumberAttribute(*turns, "scale"));
    }
    if (!IsScaledByMetadata(rope)) return;
    out_.Text(Key("rope.scaling.type"), rope.type);
    Number("rope.scaling.factor", rope.factor);
    if (rope.original_context > 0) {
      Integer("rope.scaling.original_context_length",
              static_cast<int64_t>(rope.original_context));
    }
    if (rope.attention_factor > 0) WriteAttentionFactor(rope);
    if (rope.beta_fast > 0) {
      Number("rope.scaling.yarn_beta_fast", rope.beta_fast);
    }
    if (rope.beta_slow > 0) {
      Number("rope.scaling.yarn_beta_slow", rope.beta_slow);
    }
  }

  // Once as transformers has it, and once as llama.cpp reads it: what is more
  // than follows from the factor.
  void WriteAttentionFactor(const Rope& rope) {
    RopeScheme scheme;
    scheme.scaling = RopeScheme::Scaling::kYarn;
    scheme.factor = rope.factor;
    const double more = rope.attention_factor / RopeScale(scheme);
    Number("rope.scaling.yarn_attn_factor", rope.attention_factor);
    if (rope.type == "yarn" && !Near(more, 1)) {
      Number("rope.scaling.attn_factor", more);
    }
  }

  void WriteOwn() {
    const std::string_view type = architecture_.type;
    if (type == "gemma2") {
      Number("attn_logit_softcapping",
             config_.Number("attn_logit_softcapping", 0, 1e6, 50));
      Number("final_logit_softcapping",
             config_.Number("final_logit_softcapping", 0, 1e6, 30));
    } else if (type == "gemma4_text") {
      CopyNumber("final_logit_softcapping", "final_logit_softcapping");
      Integer("attention.shared_kv_layers",
              config_.Integer("num_kv_shared_layers", 0, INT32_MAX, 0));
      Integer(
          "embedding_length_per_layer_input",
          config_.Integer("hidden_size_per_layer_input", 0, INT32_MAX, 256));
    } else if (type == "gemma3_text") {
      CopyNumber("final_logit_softcapping", "final_logit_softcapping");
    } else if (type == "ministral3" && config_.Has("rope_parameters")) {
      const JsonObject rope = config_.Object("rope_parameters");
      Number("rope.scaling.yarn_log_multiplier",
             rope.Number("mscale_all_dim", 0, 1e6, 0));
      Number("attention.temperature_scale",
             rope.Number("llama_4_scaling_beta", 0, 1e6, 0));
    } else if (type == "granite" || type == "granitemoe") {
      CopyNumber("embedding_multiplier", "embedding_scale");
      CopyNumber("attention_multiplier", "attention.scale");
      CopyNumber("residual_multiplier", "residual_scale");
      CopyNumber("logits_scaling", "logit_scale");
    } else if (type == "cohere2") {
      Number("logit_scale", config_.Number("logit_scale", 1e-9, 1e6, 0.0625));
    } else if (type == "stablelm") {
      out_.Bool(Key("use_parallel_residual"),
                config_.Bool("use_parallel_residual", false));
    } else if (type == "qwen3_5_text") {
      WriteQwen35();
    } else if (type == "lfm2") {
      Integer("shortconv.l_cache", config_.Integer("conv_L_cache", 1, 1024, 3));
    } else if (type == "bert") {
      using Pool = EncoderHead::Pool;
      constexpr int64_t kMean = 1;
      constexpr int64_t kFirst = 2;
      out_.Bool(Key("attention.causal"), false);
      Integer("pooling_type",
              source_.head()->pool == Pool::kFirst ? kFirst : kMean);
    } else if (type == "bitnet") {
      out_.Text(Key("hidden_activation"),
                config_.String("hidden_act", "relu2"));
    }
  }

  void WriteQwen35() {
    const ValueHeads heads = ValueHeadsOf(source_);
    const auto values = static_cast<int64_t>(heads.heads * heads.width);
    const auto key_heads = static_cast<int64_t>(heads.key_heads);
    Integer("ssm.conv_kernel",
            config_.Integer("linear_conv_kernel_dim", 1, 1024, 4));
    Integer("ssm.group_count", key_heads);
    Integer("ssm.time_step_rank", static_cast<int64_t>(heads.heads));
    Integer("ssm.inner_size", values);
    Integer("ssm.state_size",
            (RowsOf("linear_attn.in_proj_qkv.weight") - values) / 2 /
                std::max<int64_t>(1, key_heads));
    // The first layer of full attention; those after it are checked later.
    const Node* attention =
        FirstNode(source_.network().graph, OpType::kAttention);
    Integer("full_attention_interval",
            attention == nullptr
                ? Count("num_hidden_layers") + 1
                : static_cast<int64_t>(LayerOf(attention->output)) + 1);
    // How pairs of a head are shared by time, height and width. Of texts these
    // are one number.
    std::vector<int32_t> sections = {11, 11, 10};
    constexpr const char* kSections = "mrope_section";
    if (config_.Has("rope_parameters") &&
        config_.Object("rope_parameters").Has(kSections)) {
      sections.clear();
      for (const json& section :
           config_.Object("rope_parameters").List(kSections, 4)) {
        if (section.is_number_integer()) sections.push_back(section);
      }
    }
    sections.resize(4);
    out_.Integers(Key("rope.dimension_sections"), sections);
  }

  const ExportTensors& source_;
  const GgufArchitecture& architecture_;
  JsonObject config_;
  std::string prefix_;
  GgufWriter& out_;
};

bool SameAttributes(const Attributes& a, const Attributes& b) {
  return std::equal(
      a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
        if (x.first != y.first) return false;
        const double* number = std::get_if<double>(&x.second);
        const double* other = std::get_if<double>(&y.second);
        return number != nullptr && other != nullptr ? Near(*number, *other)
                                                     : x.second == y.second;
      });
}

// Without ids that stand for images and sounds, of which a note tells.
Attributes OfText(Attributes attributes) {
  attributes.erase("aliases");
  return attributes;
}

// The first node that differs, "" if none does.
std::string Difference(const Graph& a, const Graph& b) {
  for (size_t i = 0; i < std::max(a.nodes.size(), b.nodes.size()); ++i) {
    if (i >= a.nodes.size() || i >= b.nodes.size()) return "the layers";
    const Node& x = a.nodes[i];
    const Node& y = b.nodes[i];
    if (x.op != y.op || x.inputs != y.inputs || x.output != y.output ||
        x.weight != y.weight || x.bias != y.bias ||
        !SameAttributes(OfText(x.attributes), OfText(y.attributes))) {
      return "'" + x.output + "'";
    }
  }
  return "";
}

bool SameFrequencies(std::span<const float> a, std::span<const float> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](float x, float y) {
                      return std::abs(x - y) <= kFrequencyRounding * x;
                    });
}

}  // namespace

void WriteGgufNetwork(const ExportTensors& source,
                      const GgufArchitecture& architecture,
                      GgufWriter& writer) {
  Writer(source, architecture, writer).Write();
}

ValueHeads ValueHeadsOf(const ExportTensors& source) {
  ValueHeads heads;
  const Node* rule = FirstNode(source.network().graph, OpType::kGatedDeltaRule);
  if (rule == nullptr) return heads;
  heads.heads = CountAttribute(*rule, "heads");
  heads.key_heads = CountAttribute(*rule, "key_heads");
  for (const auto& [name, tensor] : source.tensors()) {
    if (name.ends_with(".linear_attn.norm.weight")) heads.width = tensor.rows;
  }
  return heads;
}

std::vector<std::pair<std::string, std::vector<float>>> FrequencyTensors(
    const ExportTensors& source, const GgufArchitecture& architecture) {
  const Rope rope = ReadRope(TextConfig(source), architecture.type);
  if (rope.type == kLongRope && architecture.type == "phi3") {
    source.CheckFrequencies();
    return {{std::string(kLongFactors), rope.long_factors},
            {std::string(kShortFactors), rope.short_factors}};
  }
  if (FirstNode(source.network().graph, OpType::kRope) == nullptr) return {};
  if (architecture.type == "gemma4_text") {
    source.CheckFrequencies();
    // Pairs of layers without windows that are not turned.
    std::vector<float> factors;
    const std::string full = FullRope(source.network().graph);
    for (const NetworkTensor& tensor : source.network().tensors) {
      if (tensor.name != full) continue;
      for (const float value : tensor.values) {
        factors.push_back(value == 0 ? 1e30f : 1.0f);
      }
      break;
    }
    if (factors.empty()) return {};
    return {{std::string(kRopeFactors), factors}};
  }
  // llama.cpp reads the tensor for these.
  const bool has_place = architecture.network == "LlamaForCausalLM" ||
                         architecture.network == "GraniteForCausalLM";
  if (IsScaledByMetadata(rope) || !has_place) {
    source.CheckFrequencies();
    return {};
  }
  const Model& model = source.model();
  std::vector<float> scratch;
  for (const NetworkTensor& tensor : source.network().tensors) {
    if (!tensor.name.starts_with("lutra.rope") ||
        model.file().Find(tensor.name) == nullptr) {
      continue;
    }
    const auto rows = RowSource::Of(model, tensor.name);
    const auto found = rows.Rows(0, rows.rows(), scratch);
    RopeScheme scheme;
    scheme.theta = rope.theta;
    std::vector<float> divisors = InverseFrequencies(
        scheme, static_cast<int64_t>(2 * tensor.values.size()));
    if (SameFrequencies(divisors, found)) return {};
    for (size_t i = 0; i < divisors.size(); ++i) {
      divisors[i] = divisors[i] / found[i];
      if (!std::isfinite(divisors[i]) || divisors[i] <= 0) {
        source.Refuse(tensor.name, "has frequencies that GGUF cannot hold");
      }
    }
    return {{std::string(kRopeFactors), divisors}};
  }
  return {};
}

void CheckGgufNetwork(const ExportTensors& source, const std::string& path) {
  const GgufFile file(path);
  std::vector<const GgufTensor*> tensors;
  bool divided = false;
  for (const GgufTensor& tensor : file.tensors()) {
    tensors.push_back(&tensor);
    divided = divided || (tensor.name == kRopeFactors &&
                          source.network().architecture != "Gemma4ForCausalLM");
  }
  const GgufNetwork read = ReadGgufNetwork(file, tensors);
  const Network network =
      BuildNetwork(JsonObject(read.config, path, "metadata"));
  const auto refuse = [&](const std::string& what) {
    throw Error::InFile(source.model().path(),
                        "cannot be said in the metadata of GGUF files: " +
                            what + " would be another",
                        ErrorCode::kUnsupported);
  };
  std::string difference = Difference(source.network().graph, network.graph);
  if (!difference.empty()) refuse(difference);
  for (size_t i = 0; i < network.tensors.size(); ++i) {
    const NetworkTensor& own = source.network().tensors[i];
    const NetworkTensor& other = network.tensors[i];
    if (own.name != other.name || own.shape != other.shape) refuse(own.name);
    if (!divided && (!SameFrequencies(own.values, other.values) ||
                     !SameFrequencies(own.long_values, other.long_values))) {
      refuse(own.name);
    }
  }
}

}  // namespace lutra::packer
