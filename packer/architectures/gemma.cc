// Gemma 1 to 3: norm weights less by 1, an embedding times sqrt(dim); from 2 on
// norms before and after both parts and windows, with capped scores (2) or
// norms of queries and keys and a rotary embedding of each kind of layers (3).

#include <cmath>

#include "packer/architectures/architecture.h"
#include "packer/architectures/decoder_config.h"

namespace lutra::packer {
namespace {

DecoderDefaults Defaults() {
  DecoderDefaults defaults;
  defaults.context = 8192;
  defaults.activation_key = "hidden_activation";
  defaults.activation = "gelu_pytorch_tanh";
  defaults.tied = true;
  defaults.head_dim = 256;
  return defaults;
}

DecoderConfig ReadGemma(const JsonObject& config,
                        const DecoderDefaults& defaults) {
  DecoderConfig decoder = ReadDecoder(config, defaults);
  decoder.query_key_value_bias = config.Bool("attention_bias", false);
  decoder.attention_output_bias = decoder.query_key_value_bias;
  decoder.norm_plus_one = true;
  decoder.embedding_scale = std::sqrt(static_cast<double>(decoder.dim));
  return decoder;
}

// Of Gemma 2 and 3: `full` is which of so many layers has no window.
DecoderConfig ReadWindowed(const JsonObject& config,
                           const DecoderDefaults& defaults, int64_t full) {
  DecoderConfig decoder = ReadGemma(config, defaults);
  decoder.names.attended_norm = "post_attention_layernorm";
  decoder.names.feed_norm = "pre_feedforward_layernorm";
  decoder.names.fed_norm = "post_feedforward_layernorm";
  const double scalar =
      config.Number("query_pre_attn_scalar", 1e-6, kMaxConfigNumber, 256);
  decoder.attention_scale = 1 / std::sqrt(scalar);
  ReadKinds(
      config,
      [full](int64_t i) {
        return (i + 1) % full != 0 ? kSlidingAttention : kFullAttention;
      },
      decoder);
  return decoder;
}

// Null is none, and so is an absent one where the fallback is 0.
double ReadCap(const JsonObject& config, const char* key, double fallback) {
  if (config.Mentions(key) && !config.Has(key)) return 0;
  return config.Number(key, 0, 1e6, fallback);
}

Network BuildGemma(const JsonObject& config) {
  DecoderDefaults defaults = Defaults();
  // The first files say "gelu" there and mean what the other key says.
  if (!config.Has("hidden_activation")) defaults.activation_key = "hidden_act";
  DecoderConfig decoder = ReadGemma(config, defaults);
  ReadRope(config, defaults, decoder);
  return Decoder::Build(decoder);
}

Network BuildGemma2(const JsonObject& config) {
  if (config.Bool("use_bidirectional_attention", false)) {
    config.Fail("use_bidirectional_attention is not supported");
  }
  DecoderDefaults defaults = Defaults();
  defaults.kv_heads = 4;
  DecoderConfig decoder = ReadWindowed(config, defaults, 2);
  decoder.attention_soft_cap = ReadCap(config, "attn_logit_softcapping", 50);
  decoder.logits_soft_cap = ReadCap(config, "final_logit_softcapping", 30);
  SetWindow(ReadWindow(config, 4096), decoder);
  ReadRope(config, defaults, decoder);
  return Decoder::Build(decoder);
}

void ReadGemma3Rope(const JsonObject& config, const DecoderDefaults& defaults,
                    DecoderConfig& decoder) {
  if (config.Has("rope_parameters")) return ReadRope(config, defaults, decoder);
  const RopeScheme full = ReadFullRope(config, defaults, decoder.context, 1e6);
  RopeScheme sliding;
  sliding.theta =
      config.Number("rope_local_base_freq", 1, kMaxConfigNumber, 1e4);
  AddRope(full, kFullAttention, 1, config, decoder);
  AddRope(sliding, kSlidingAttention, 1, config, decoder);
}

Network BuildGemma3(const JsonObject& config) {
  DecoderDefaults defaults = Defaults();
  defaults.context = 131072;
  defaults.vocab = 262208;
  defaults.dim = 2304;
  defaults.hidden = 9216;
  defaults.layers = 26;
  defaults.heads = 8;
  defaults.kv_heads = 4;
  const int64_t pattern = config.Integer(
      "sliding_window_pattern", 1, kMaxConfigSize,
      config.Integer("_sliding_window_pattern", 1, kMaxConfigSize, 6));
  DecoderConfig decoder = ReadWindowed(config, defaults, pattern);
  decoder.qk_norm = DecoderConfig::QkNorm::kHeads;
  decoder.attention_soft_cap = ReadCap(config, "attn_logit_softcapping", 0);
  decoder.logits_soft_cap = ReadCap(config, "final_logit_softcapping", 0);
  int64_t window = ReadWindow(config, 4096);
  if (config.Bool("use_bidirectional_attention", false)) {
    // The file's window is that of both sides together.
    decoder.both_directions = true;
    if (window > 0) window = window / 2 + 1;
  }
  SetWindow(window, decoder);
  ReadGemma3Rope(config, defaults, decoder);
  return Decoder::Build(decoder);
}

}  // namespace

const Architecture kGemma = {"GemmaForCausalLM", "gemma", "Gemma 1",
                             BuildGemma};
const Architecture kGemma2 = {"Gemma2ForCausalLM", "gemma2", "Gemma 2",
                              BuildGemma2};
const Architecture kGemma3 = {"Gemma3ForCausalLM", "gemma3_text",
                              "Gemma 3 (text of the multimodal ones, too)",
                              BuildGemma3};

}  // namespace lutra::packer
