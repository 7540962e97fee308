// StableLM 2 and Zephyr: Llama with layer norms and a rotary embedding of a
// part of each head.

#include "packer/architectures/architecture.h"
#include "packer/architectures/decoder_config.h"

namespace lutra::packer {
namespace {

Network BuildStablelm(const JsonObject& config) {
  RefuseOptions(config, {"qk_layernorm"});
  DecoderDefaults defaults;
  defaults.context = 4096;
  defaults.rotary_part = 0.25;
  defaults.eps_key = "layer_norm_eps";
  defaults.eps = 1e-5;
  DecoderConfig decoder = ReadDecoder(config, defaults);
  decoder.layer_norm = true;
  decoder.norm_bias = true;
  decoder.query_key_value_bias = config.Bool("use_qkv_bias", false);
  decoder.parallel = config.Bool("use_parallel_residual", false);
  ReadRope(config, defaults, decoder);
  return Decoder::Build(decoder);
}

}  // namespace

const Architecture kStableLm = {"StableLmForCausalLM", "stablelm",
                                "StableLM 2, Zephyr", BuildStablelm};

}  // namespace lutra::packer
