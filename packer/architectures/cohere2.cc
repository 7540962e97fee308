// Command R7B: one layer norm for attention and feed-forward part, windows with
// rotary pairs of neighbours, full attention without.

#include "packer/architectures/architecture.h"
#include "packer/architectures/decoder_config.h"

namespace lutra::packer {
namespace {

Network BuildCohere2(const JsonObject& config) {
  RefuseOptions(config, {"use_qk_norm"});
  DecoderDefaults defaults;
  defaults.context = 8192;
  defaults.eps_key = "layer_norm_eps";
  defaults.eps = 1e-5;
  defaults.tied = true;
  DecoderConfig decoder = ReadDecoder(config, defaults);
  decoder.query_key_value_bias = config.Bool("attention_bias", false);
  decoder.attention_output_bias = decoder.query_key_value_bias;
  decoder.layer_norm = true;
  decoder.parallel = true;
  decoder.adjacent_pairs = true;
  decoder.logits_scale = config.Number("logit_scale", 1e-9, 1e6, 0.0625);
  const int64_t pattern =
      config.Integer("sliding_window_pattern", 1, kMaxConfigSize, 4);
  ReadKinds(
      config,
      [pattern](int64_t i) {
        return (i + 1) % pattern != 0 ? kSlidingAttention : kFullAttention;
      },
      decoder);
  const int64_t window = ReadWindow(config, 4096);
  SetWindow(window, decoder);
  ReadRope(config, defaults, decoder);
  for (DecoderLayer& layer : decoder.layers) {
    if (layer.kind == kFullAttention) layer.rope = -1;
  }
  return Decoder::Build(decoder);
}

}  // namespace

const Architecture kCohere2 = {"Cohere2ForCausalLM", "cohere2", "Command R7B",
                               BuildCohere2};

}  // namespace lutra::packer
