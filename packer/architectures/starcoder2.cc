// StarCoder2: layer norms, biases, two matrices in the feed-forward part, a
// window.

#include "packer/architectures/architecture.h"
#include "packer/architectures/decoder_config.h"

namespace lutra::packer {
namespace {

Network BuildStarcoder2(const JsonObject& config) {
  DecoderDefaults defaults;
  defaults.context = 4096;
  defaults.eps_key = "norm_epsilon";
  defaults.eps = 1e-5;
  defaults.activation = "gelu_pytorch_tanh";
  defaults.kv_heads = 2;
  defaults.tied = true;
  DecoderConfig decoder = ReadDecoder(config, defaults);
  decoder.layer_norm = true;
  decoder.norm_bias = true;
  decoder.query_key_value_bias = config.Bool("use_bias", true);
  decoder.attention_output_bias = decoder.query_key_value_bias;
  decoder.mlp_bias = decoder.query_key_value_bias;
  decoder.gated = false;
  decoder.names.up = "mlp.c_fc";
  decoder.names.down = "mlp.c_proj";
  const int64_t window = ReadWindow(config, 0);
  for (DecoderLayer& layer : decoder.layers) {
    if (window > 0) layer.kind = kSlidingAttention;
  }
  SetWindow(window, decoder);
  ReadRope(config, defaults, decoder);
  return Decoder::Build(decoder);
}

}  // namespace

const Architecture kStarcoder2 = {"Starcoder2ForCausalLM", "starcoder2",
                                  "StarCoder2", BuildStarcoder2};

}  // namespace lutra::packer
