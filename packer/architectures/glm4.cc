// GLM-4 (0414): norms before and after both parts, rotary pairs of neighbours
// in a half of each head.

#include "packer/architectures/architecture.h"
#include "packer/architectures/decoder_config.h"

namespace lutra::packer {
namespace {

Network BuildGlm4(const JsonObject& config) {
  DecoderDefaults defaults;
  defaults.context = 131072;
  defaults.rotary_part = 0.5;
  defaults.eps = 1.5625e-7;
  defaults.kv_heads = 2;
  defaults.head_dim = 128;
  DecoderConfig decoder = ReadDecoder(config, defaults);
  decoder.query_key_value_bias = config.Bool("attention_bias", true);
  decoder.adjacent_pairs = true;
  decoder.names.gate_up = "mlp.gate_up_proj";
  decoder.names.attended_norm = "post_self_attn_layernorm";
  decoder.names.fed_norm = "post_mlp_layernorm";
  ReadRope(config, defaults, decoder);
  return Decoder::Build(decoder);
}

}  // namespace

const Architecture kGlm4 = {"Glm4ForCausalLM", "glm4", "GLM-4-0414", BuildGlm4};

}  // namespace lutra::packer
