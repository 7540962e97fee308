#include "packer/import/gguf/gguf_architectures.h"

#include <algorithm>
#include <charconv>
#include <iterator>

namespace lutra::packer {
namespace {

constexpr GgufRenamed kCommonBlocks[] = {
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
    {"ffn_gate_inp", "mlp.gate"},
    {"ffn_gate_exps", "mlp.experts.*.gate_proj"},
    {"ffn_up_exps", "mlp.experts.*.up_proj"},
    {"ffn_down_exps", "mlp.experts.*.down_proj"},
};
constexpr GgufRenamed kOutside[] = {
    {"token_embd", "model.embed_tokens"},
    {"output_norm", "model.norm"},
    {"output", "lm_head"},
};

const GgufArchitecture kArchitectures[] = {
    {.name = "bert",
     .type = "bert",
     .network = "BertModel",
     .act = "gelu",
     .eps_key = "layer_norm_eps",
     .layer = "bert.encoder.layer.",
     .blocks = {{"attn_q", "attention.self.query"},
                {"attn_k", "attention.self.key"},
                {"attn_v", "attention.self.value"},
                {"attn_output", "attention.output.dense"},
                {"attn_output_norm", "attention.output.LayerNorm"},
                {"ffn_up", "intermediate.dense"},
                {"ffn_down", "output.dense"},
                {"layer_output_norm", "output.LayerNorm"}},
     .outside = {{"token_embd", "bert.embeddings.word_embeddings"},
                 {"position_embd", "bert.embeddings.position_embeddings"},
                 {"token_types", "bert.embeddings.token_type_embeddings"},
                 {"token_embd_norm", "bert.embeddings.LayerNorm"}}},
    {.name = "bitnet", .type = "bitnet", .network = "BitNetForCausalLM"},
    {.name = "cohere2",
     .type = "cohere2",
     .network = "Cohere2ForCausalLM",
     .eps_key = "layer_norm_eps"},
    {.name = "gemma",
     .type = "gemma",
     .network = "GemmaForCausalLM",
     .norms_plus_one = true,
     .act = "gelu_pytorch_tanh",
     .act_key = "hidden_activation"},
    {.name = "gemma2",
     .type = "gemma2",
     .network = "Gemma2ForCausalLM",
     .norms_plus_one = true,
     .act = "gelu_pytorch_tanh",
     .act_key = "hidden_activation",
     .blocks = {{"post_attention_norm", "post_attention_layernorm"},
                {"ffn_norm", "pre_feedforward_layernorm"},
                {"post_ffw_norm", "post_feedforward_layernorm"}}},
    {.name = "gemma3",
     .type = "gemma3_text",
     .network = "Gemma3ForCausalLM",
     .norms_plus_one = true,
     .act = "gelu_pytorch_tanh",
     .act_key = "hidden_activation",
     .blocks = {{"post_attention_norm", "post_attention_layernorm"},
                {"ffn_norm", "pre_feedforward_layernorm"},
                {"post_ffw_norm", "post_feedforward_layernorm"}}},
    {.name = "gemma4",
     .type = "gemma4_text",
     .network = "Gemma4ForCausalLM",
     .act = "gelu_pytorch_tanh",
     .act_key = "hidden_activation",
     .blocks = {{"post_attention_norm", "post_attention_layernorm"},
                {"ffn_norm", "pre_feedforward_layernorm"},
                {"post_ffw_norm", "post_feedforward_layernorm"},
                {"layer_output_scale.weight", "layer_scalar"},
                {"ffn_gate_inp", "router.proj"},
                {"ffn_gate_inp.scale", "router.scale"},
                {"ffn_down_exps.scale", "router.per_expert_scale"},
                {"ffn_gate_up_exps.weight", "experts.gate_up_proj"},
                {"ffn_down_exps.weight", "experts.down_proj"},
                {"pre_ffw_norm_2", "pre_feedforward_layernorm_2"},
                {"post_ffw_norm_1", "post_feedforward_layernorm_1"},
                {"post_ffw_norm_2", "post_feedforward_layernorm_2"},
                {"inp_gate", "per_layer_input_gate"},
                {"proj", "per_layer_projection"},
                {"post_norm", "post_per_layer_input_norm"}},
     .outside = {{"per_layer_token_embd", "model.embed_tokens_per_layer"},
                 {"per_layer_model_proj", "model.per_layer_model_projection"},
                 {"per_layer_proj_norm", "model.per_layer_projection_norm"}}},
    {.name = "glm4",
     .type = "glm4",
     .network = "Glm4ForCausalLM",
     .blocks = {{"ffn_up", "mlp.gate_up_proj"},
                {"post_attention_norm", "post_self_attn_layernorm"},
                {"post_ffw_norm", "post_mlp_layernorm"}}},
    {.name = "gpt2",
     .type = "gpt2",
     .network = "GPT2LMHeadModel",
     .transposed = true,
     .act = "gelu_new",
     .act_key = "activation_function",
     .eps_key = "layer_norm_epsilon",
     .layer = "transformer.h.",
     .blocks = {{"attn_norm", "ln_1"},
                {"attn_qkv", "attn.c_attn"},
                {"attn_output", "attn.c_proj"},
                {"ffn_norm", "ln_2"},
                {"ffn_up", "mlp.c_fc"},
                {"ffn_down", "mlp.c_proj"}},
     .outside = {{"token_embd", "transformer.wte"},
                 {"position_embd", "transformer.wpe"},
                 {"output_norm", "transformer.ln_f"}}},
    // Rows of gate and up are one tensor in Hugging Face's files, which the
    // importer makes of the two here.
    {.name = "gpt-oss",
     .type = "gpt_oss",
     .network = "GptOssForCausalLM",
     .experts = true,
     .gate_up = "mlp.experts.gate_up_proj",
     .in_turns = true,
     .blocks = {{"post_attention_norm", "post_attention_layernorm"},
                {"attn_sinks.weight", "self_attn.sinks"},
                {"ffn_gate_inp", "mlp.router"},
                {"ffn_gate_exps", "mlp.experts.gate_proj"},
                {"ffn_up_exps", "mlp.experts.up_proj"},
                {"ffn_down_exps.weight", "mlp.experts.down_proj"},
                {"ffn_down_exps.bias", "mlp.experts.down_proj_bias"},
                {"ffn_down_exps", "mlp.experts.down_proj"}}},
    {.name = "granite",
     .type = "granite",
     .network = "GraniteForCausalLM",
     .permuted = true},
    {.name = "granitemoe",
     .type = "granitemoe",
     .network = "GraniteMoeForCausalLM",
     .permuted = true,
     .experts = true,
     .gate_up = "block_sparse_moe.input_linear",
     .blocks = {{"ffn_gate_inp", "block_sparse_moe.router.layer"},
                {"ffn_gate_exps", "block_sparse_moe.gate_linear"},
                {"ffn_up_exps", "block_sparse_moe.up_linear"},
                {"ffn_down_exps", "block_sparse_moe.output_linear"}}},
    {.name = "lfm2",
     .type = "lfm2",
     .network = "Lfm2ForCausalLM",
     .eps_key = "norm_eps",
     .blocks = {{"attn_norm", "operator_norm"},
                {"ffn_norm", "ffn_norm"},
                {"attn_output", "self_attn.out_proj"},
                {"attn_q_norm", "self_attn.q_layernorm"},
                {"attn_k_norm", "self_attn.k_layernorm"},
                {"ffn_gate", "feed_forward.w1"},
                {"ffn_up", "feed_forward.w3"},
                {"ffn_down", "feed_forward.w2"},
                {"shortconv.in_proj", "conv.in_proj"},
                {"shortconv.out_proj", "conv.out_proj"},
                {"shortconv.conv", "conv.conv"}},
     .outside = {{"token_embd_norm", "model.embedding_norm"}}},
    {.name = "llama",
     .type = "llama",
     .network = "LlamaForCausalLM",
     .permuted = true},
    {.name = "llama",
     .type = "mixtral",
     .network = "MixtralForCausalLM",
     .permuted = true,
     .experts = true,
     .blocks = {{"ffn_gate_inp", "block_sparse_moe.gate"},
                {"ffn_gate_exps", "block_sparse_moe.experts.*.w1"},
                {"ffn_up_exps", "block_sparse_moe.experts.*.w3"},
                {"ffn_down_exps", "block_sparse_moe.experts.*.w2"}}},
    {.name = "mistral3",
     .type = "ministral3",
     .network = "Ministral3ForCausalLM",
     .permuted = true},
    {.name = "olmo2",
     .type = "olmo2",
     .network = "Olmo2ForCausalLM",
     .blocks = {{"post_attention_norm", "post_attention_layernorm"},
                {"post_ffw_norm", "post_feedforward_layernorm"}}},
    {.name = "olmo2",
     .type = "olmo3",
     .network = "Olmo3ForCausalLM",
     .windows = true,
     .blocks = {{"post_attention_norm", "post_attention_layernorm"},
                {"post_ffw_norm", "post_feedforward_layernorm"}}},
    {.name = "olmoe",
     .type = "olmoe",
     .network = "OlmoeForCausalLM",
     .experts = true},
    {.name = "phi3",
     .type = "phi3",
     .network = "Phi3ForCausalLM",
     .blocks = {{"ffn_up", "mlp.gate_up_proj"}}},
    {.name = "qwen2", .type = "qwen2", .network = "Qwen2ForCausalLM"},
    {.name = "qwen3", .type = "qwen3", .network = "Qwen3ForCausalLM"},
    {.name = "qwen35",
     .type = "qwen3_5_text",
     .network = "Qwen3_5ForCausalLM",
     .norms_plus_one = true,
     .blocks = {{"post_attention_norm", "post_attention_layernorm"},
                {"attn_qkv", "linear_attn.in_proj_qkv"},
                {"attn_gate", "linear_attn.in_proj_z"},
                {"ssm_a", "linear_attn.A_log"},
                {"ssm_alpha", "linear_attn.in_proj_a"},
                {"ssm_beta", "linear_attn.in_proj_b"},
                {"ssm_conv1d", "linear_attn.conv1d"},
                {"ssm_dt.bias", "linear_attn.dt_bias"},
                {"ssm_norm", "linear_attn.norm"},
                {"ssm_out", "linear_attn.out_proj"}}},
    {.name = "qwen3moe",
     .type = "qwen3_moe",
     .network = "Qwen3MoeForCausalLM",
     .experts = true},
    {.name = "smollm3",
     .type = "smollm3",
     .network = "SmolLM3ForCausalLM",
     .permuted = true},
    {.name = "stablelm",
     .type = "stablelm",
     .network = "StableLmForCausalLM",
     .eps_key = "layer_norm_eps"},
    {.name = "starcoder2",
     .type = "starcoder2",
     .network = "Starcoder2ForCausalLM",
     .act = "gelu_pytorch_tanh",
     .eps_key = "norm_epsilon",
     .blocks = {{"ffn_up", "mlp.c_fc"}, {"ffn_down", "mlp.c_proj"}}},
};

constexpr std::string_view kBlock = "blk.";

// The number after `prefix` and what follows its point; nothing if there is
// none.
struct Numbered {
  std::string_view number;
  std::string_view rest;
};
std::optional<Numbered> AfterNumber(std::string_view name,
                                    std::string_view prefix) {
  if (!name.starts_with(prefix)) return std::nullopt;
  name.remove_prefix(prefix.size());
  const size_t point = name.find('.');
  if (point == 0 || point == std::string_view::npos) return std::nullopt;
  return Numbered{name.substr(0, point), name.substr(point + 1)};
}

// Calls find(entry) for the architecture's own names and then for the common
// ones until it returns something.
template <typename List, size_t kCount, typename Find>
auto FirstOf(const List& own, const GgufRenamed (&common)[kCount],
             const Find& find) -> decltype(find(common[0])) {
  for (const GgufRenamed& entry : own) {
    if (auto found = find(entry)) return found;
  }
  for (const GgufRenamed& entry : common) {
    if (auto found = find(entry)) return found;
  }
  return std::nullopt;
}

}  // namespace

std::span<const GgufArchitecture> GgufArchitectures() { return kArchitectures; }

const GgufArchitecture* FindGgufArchitecture(std::string_view name,
                                             bool experts, bool windows) {
  const GgufArchitecture* best = nullptr;
  const auto likeness = [&](const GgufArchitecture& row) {
    return (row.experts == experts ? 2 : 0) + (row.windows == windows ? 1 : 0);
  };
  for (const GgufArchitecture& row : kArchitectures) {
    if (row.name != name) continue;
    if (best == nullptr || likeness(row) > likeness(*best)) best = &row;
  }
  return best;
}

const GgufArchitecture* FindGgufArchitectureOf(std::string_view network) {
  // The same network where it has no windows, which those that ask check.
  if (network == "MistralForCausalLM") network = "LlamaForCausalLM";
  const auto* found = std::find_if(
      std::begin(kArchitectures), std::end(kArchitectures),
      [&](const GgufArchitecture& row) { return row.network == network; });
  return found == std::end(kArchitectures) ? nullptr : found;
}

namespace {

// Of a name that ends behind its first `length` bytes.
std::optional<std::string> HuggingFaceNameOf(
    const GgufArchitecture& architecture, std::string_view name,
    size_t length) {
  const std::string ending(name.substr(length));
  const std::string_view stem = name.substr(0, length);
  using Name = std::optional<std::string>;
  const auto named = [&](std::string_view part, const std::string& before) {
    return [part, before, &ending](const GgufRenamed& entry) {
      return entry.from == part ? Name(before + std::string(entry.to) + ending)
                                : std::nullopt;
    };
  };
  const Name outside = FirstOf(architecture.outside, kOutside, named(stem, ""));
  if (outside) return outside;
  const auto block = AfterNumber(stem, kBlock);
  if (!block) return std::nullopt;
  return FirstOf(architecture.blocks, kCommonBlocks,
                 named(block->rest, std::string(architecture.layer) +
                                        std::string(block->number) + "."));
}

std::optional<GgufName> FindGgufNameOf(const GgufArchitecture& architecture,
                                       std::string_view name, size_t length) {
  const std::string ending(name.substr(length));
  const std::string_view stem = name.substr(0, length);
  const auto named = [&](std::string_view part, const std::string& before) {
    return [part, before,
            &ending](const GgufRenamed& entry) -> std::optional<GgufName> {
      GgufName found{before + std::string(entry.from) + ending, {}};
      if (entry.to == part) return found;
      const size_t star = entry.to.find('*');
      if (star == std::string_view::npos) return std::nullopt;
      const auto expert = AfterNumber(part, entry.to.substr(0, star));
      if (!expert || expert->rest != entry.to.substr(star + 2)) {
        return std::nullopt;
      }
      const char* end = expert->number.data() + expert->number.size();
      size_t number = 0;
      const auto [at, error] =
          std::from_chars(expert->number.data(), end, number);
      if (error != std::errc() || at != end) return std::nullopt;
      found.expert = number;
      return found;
    };
  };
  const auto outside = FirstOf(architecture.outside, kOutside, named(stem, ""));
  if (outside) return outside;
  const auto layer = AfterNumber(stem, architecture.layer);
  if (!layer) return std::nullopt;
  return FirstOf(architecture.blocks, kCommonBlocks,
                 named(layer->rest,
                       std::string(kBlock) + std::string(layer->number) + "."));
}

// With all of the name first, then without its ending.
template <typename Find>
auto WithAndWithoutEnding(std::string_view name, const Find& find)
    -> decltype(find(name.size())) {
  const auto whole = find(name.size());
  const size_t dot = name.rfind('.');
  return whole || dot == std::string_view::npos ? whole : find(dot);
}

}  // namespace

std::optional<std::string> HuggingFaceName(const GgufArchitecture& architecture,
                                           std::string_view name) {
  return WithAndWithoutEnding(name, [&](size_t length) {
    return HuggingFaceNameOf(architecture, name, length);
  });
}

std::optional<GgufName> FindGgufName(const GgufArchitecture& architecture,
                                     std::string_view name) {
  return WithAndWithoutEnding(name, [&](size_t length) {
    return FindGgufNameOf(architecture, name, length);
  });
}

std::optional<ValueHeads::Axis> ValueHeads::AxisOf(std::string_view name) {
  constexpr std::string_view kPart = ".linear_attn.";
  const size_t at = name.find(kPart);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view rest = name.substr(at + kPart.size());
  if (rest == "out_proj.weight") return Axis::kColumns;
  // One for all heads.
  if (rest == "norm.weight") return std::nullopt;
  return Axis::kRows;
}

std::vector<uint32_t> ValueHeads::Order(std::string_view name, size_t size,
                                        bool inverse) const {
  // Queries and keys come before the values.
  const bool all = name.find(".in_proj_qkv.") != std::string_view::npos ||
                   name.find(".conv1d.") != std::string_view::npos;
  const bool wide = all || name.find(".in_proj_z.") != std::string_view::npos ||
                    AxisOf(name) == Axis::kColumns;
  const size_t each = wide ? width : 1;
  if (size < heads * each || (!all && size != heads * each)) return {};
  const size_t first = size - heads * each;
  std::vector<uint32_t> order(size);
  for (size_t i = 0; i < first; ++i) order[i] = static_cast<uint32_t>(i);
  const size_t shared = heads / key_heads;
  for (size_t head = 0; head < heads; ++head) {
    // Of Hugging Face's.
    const size_t own = head % key_heads * shared + head / key_heads;
    for (size_t i = 0; i < each; ++i) {
      const auto file = static_cast<uint32_t>(first + head * each + i);
      const auto there = static_cast<uint32_t>(first + own * each + i);
      if (inverse) {
        order[there] = file;
      } else {
        order[file] = there;
      }
    }
  }
  return order;
}

std::vector<uint32_t> PairedRows(size_t rows, size_t heads, bool inverse) {
  const size_t dim = rows / heads;
  std::vector<uint32_t> order(rows);
  for (size_t row = 0; row < rows; ++row) {
    const size_t begin = row / dim * dim;
    const size_t half = row % dim / (dim / 2);
    const size_t pair = row % (dim / 2);
    const size_t paired = begin + 2 * pair + half;
    // `row` is Hugging Face's, `paired` the file's.
    if (inverse) {
      order[row] = static_cast<uint32_t>(paired);
    } else {
      order[paired] = static_cast<uint32_t>(row);
    }
  }
  return order;
}

}  // namespace lutra::packer
