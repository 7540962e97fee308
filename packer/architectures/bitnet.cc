// BitNet b1.58: Llama with norms before the last matrix of both parts, and the
// square of relu.

#include "packer/architectures/architecture.h"
#include "packer/architectures/decoder_config.h"

namespace lutra::packer {
namespace {

Network BuildBitnet(const JsonObject& config) {
  DecoderDefaults defaults;
  defaults.eps = 1e-5;
  defaults.theta = 5e5;
  defaults.activation = "relu2";
  DecoderConfig decoder = ReadDecoder(config, defaults);
  decoder.query_key_value_bias = config.Bool("attention_bias", false);
  decoder.attention_output_bias = decoder.query_key_value_bias;
  decoder.names.attention_sub_norm = "self_attn.attn_sub_norm";
  decoder.names.feed_sub_norm = "mlp.ffn_sub_norm";
  ReadRope(config, defaults, decoder);
  return Decoder::Build(decoder);
}

}  // namespace

const Architecture kBitNet = {"BitNetForCausalLM", "bitnet", "BitNet b1.58",
                              BuildBitnet};

}  // namespace lutra::packer
