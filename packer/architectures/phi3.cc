// Phi-3 and Phi-4: Llama with fused matrices and LongRoPE.

#include "packer/architectures/architecture.h"
#include "packer/architectures/decoder_config.h"

namespace lutra::packer {
namespace {

Network BuildPhi3(const JsonObject& config) {
  DecoderDefaults defaults;
  defaults.context = 4096;
  defaults.eps = 1e-5;
  defaults.old_long_rope = true;
  DecoderConfig decoder = ReadDecoder(config, defaults);
  decoder.names.qkv = "self_attn.qkv_proj";
  decoder.names.gate_up = "mlp.gate_up_proj";
  const int64_t window = ReadWindow(config, 0);
  for (DecoderLayer& layer : decoder.layers) {
    if (window > 0) layer.kind = kSlidingAttention;
  }
  SetWindow(window, decoder);
  ReadRope(config, defaults, decoder);
  return Decoder::Build(decoder);
}

}  // namespace

const Architecture kPhi3 = {"Phi3ForCausalLM", "phi3", "Phi-3, Phi-4-mini",
                            BuildPhi3};

}  // namespace lutra::packer
