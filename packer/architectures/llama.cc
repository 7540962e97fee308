// Llama 1 to 3 and the many models built like them.

#include "packer/architectures/architecture.h"
#include "packer/architectures/decoder_config.h"

namespace lutra::packer {
namespace {

Network BuildLlama(const JsonObject& config) {
  // Of models that call themselves Llama and are something else.
  RefuseOptions(config, {"use_qk_norm", "qk_norm", "clip_qkv",
                         "num_local_experts", "num_experts", "n_routed_experts",
                         "attn_logit_softcapping", "final_logit_softcapping",
                         "attention_multiplier", "residual_multiplier",
                         "embedding_multiplier", "logits_scaling"});
  const DecoderDefaults defaults;
  DecoderConfig decoder = ReadDecoder(config, defaults);
  decoder.query_key_value_bias = config.Bool("attention_bias", false);
  decoder.attention_output_bias = decoder.query_key_value_bias;
  decoder.mlp_bias = config.Bool("mlp_bias", false);
  ReadRope(config, defaults, decoder);
  return Decoder::Build(decoder);
}

}  // namespace

const Architecture kLlama = {
    "LlamaForCausalLM", "llama",
    "Llama 1 to 3, SmolLM, TinyLlama, MobileLLM, Yi, DeepSeek 1", BuildLlama};

}  // namespace lutra::packer
