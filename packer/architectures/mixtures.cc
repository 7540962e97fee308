// Mixtures of experts on the plan of Llama: Qwen3-MoE, OLMoE, Mixtral,
// Granite-MoE.

#include "packer/architectures/architecture.h"
#include "packer/architectures/decoder_config.h"
#include "packer/architectures/experts.h"

namespace lutra::packer {
namespace {

// Experts in all layers for which `has` says so.
void SetFeed(const Experts& experts, std::vector<bool> has,
             DecoderConfig& decoder) {
  decoder.feed = [experts, has](Decoder& d, size_t i, const std::string& x) {
    return has[i] ? Route(d, experts, x, x) : std::string();
  };
}

Network BuildQwen3Moe(const JsonObject& config) {
  DecoderDefaults defaults;
  defaults.context = 32768;
  defaults.kv_heads = 4;
  defaults.hidden = 6144;
  DecoderConfig decoder = ReadDecoder(config, defaults);
  decoder.query_key_value_bias = config.Bool("attention_bias", false);
  decoder.attention_output_bias = decoder.query_key_value_bias;
  decoder.qk_norm = DecoderConfig::QkNorm::kHeads;
  if (config.Bool("use_sliding_window", false)) {
    const int64_t window = ReadWindow(config, 4096);
    for (DecoderLayer& layer : decoder.layers) {
      if (window > 0) layer.kind = kSlidingAttention;
    }
    SetWindow(window, decoder);
  }
  ReadRope(config, defaults, decoder);
  Experts experts = ReadExperts(config, decoder, 128, 8);
  experts.hidden =
      config.Integer("moe_intermediate_size", 1, kMaxConfigSize, 768);
  experts.over_all = !config.Bool("norm_topk_prob", false);
  const auto layers = static_cast<int64_t>(decoder.layers.size());
  const int64_t step =
      config.Integer("decoder_sparse_step", 1, kMaxConfigSize, 1);
  std::vector<bool> has;
  for (int64_t i = 0; i < layers; ++i) has.push_back((i + 1) % step == 0);
  for (const int64_t i : config.Integers("mlp_only_layers", 0, layers - 1,
                                         decoder.layers.size())) {
    has[static_cast<size_t>(i)] = false;
  }
  SetFeed(experts, has, decoder);
  return Decoder::Build(decoder);
}

Network BuildOlmoe(const JsonObject& config) {
  DecoderDefaults defaults;
  defaults.context = 4096;
  defaults.eps = 1e-5;
  defaults.kv_heads = 16;
  DecoderConfig decoder = ReadDecoder(config, defaults);
  decoder.query_key_value_bias = config.Bool("attention_bias", false);
  decoder.attention_output_bias = decoder.query_key_value_bias;
  decoder.qk_norm = DecoderConfig::QkNorm::kAll;
  decoder.clip_qkv = config.Number("clip_qkv", 0, kMaxConfigNumber, 0);
  ReadRope(config, defaults, decoder);
  Experts experts = ReadExperts(config, decoder, 64, 8);
  experts.hidden = decoder.layers[0].hidden;
  experts.over_all = !config.Bool("norm_topk_prob", false);
  SetFeed(experts, std::vector<bool>(decoder.layers.size(), true), decoder);
  return Decoder::Build(decoder);
}

Network BuildMixtral(const JsonObject& config) {
  DecoderDefaults defaults;
  defaults.context = 131072;
  defaults.theta = 1e6;
  defaults.eps = 1e-5;
  defaults.kv_heads = 8;
  DecoderConfig decoder = ReadDecoder(config, defaults);
  const int64_t window = ReadWindow(config, 0x7FFFFFFF);
  for (DecoderLayer& layer : decoder.layers) {
    if (config.Has("sliding_window")) layer.kind = kSlidingAttention;
  }
  SetWindow(window, decoder);
  ReadRope(config, defaults, decoder);
  Experts experts = ReadExperts(config, decoder, 8, 2);
  experts.hidden = decoder.layers[0].hidden;
  experts.router = "block_sparse_moe.gate";
  experts.prefix = "block_sparse_moe.experts.";
  experts.gate = "w1";
  experts.up = "w3";
  experts.down = "w2";
  SetFeed(experts, std::vector<bool>(decoder.layers.size(), true), decoder);
  return Decoder::Build(decoder);
}

Network BuildGraniteMoe(const JsonObject& config) {
  const DecoderDefaults defaults;
  DecoderConfig decoder = ReadDecoder(config, defaults);
  decoder.query_key_value_bias = config.Bool("attention_bias", false);
  decoder.attention_output_bias = decoder.query_key_value_bias;
  ReadMultipliers(config, decoder);
  ReadRope(config, defaults, decoder);
  Experts experts = ReadExperts(config, decoder, 8, 2);
  experts.hidden = decoder.layers[0].hidden;
  experts.stored = Experts::Stored::kStacked;
  experts.router = "block_sparse_moe.router.layer";
  experts.prefix = "block_sparse_moe.";
  experts.gate_up = "block_sparse_moe.input_linear.weight";
  experts.stacked_down = "block_sparse_moe.output_linear.weight";
  SetFeed(experts, std::vector<bool>(decoder.layers.size(), true), decoder);
  return Decoder::Build(decoder);
}

}  // namespace

const Architecture kQwen3Moe = {"Qwen3MoeForCausalLM", "qwen3_moe",
                                "Qwen 3 30B-A3B", BuildQwen3Moe};
const Architecture kOlmoe = {"OlmoeForCausalLM", "olmoe", "OLMoE", BuildOlmoe};
const Architecture kMixtral = {"MixtralForCausalLM", "mixtral", "Mixtral",
                               BuildMixtral};
const Architecture kGraniteMoe = {"GraniteMoeForCausalLM", "granitemoe",
                                  "Granite 3 1B-A400M, 3B-A800M",
                                  BuildGraniteMoe};

}  // namespace lutra::packer
