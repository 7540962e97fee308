// Granite 3 and 4 without mixtures: Llama with factors of the embedding, the
// scores, the outputs of both parts, and the logits.

#include "packer/architectures/architecture.h"
#include "packer/architectures/decoder_config.h"

namespace lutra::packer {
namespace {

Network BuildGranite(const JsonObject& config) {
  const DecoderDefaults defaults;
  DecoderConfig decoder = ReadDecoder(config, defaults);
  decoder.query_key_value_bias = config.Bool("attention_bias", false);
  decoder.attention_output_bias = decoder.query_key_value_bias;
  decoder.mlp_bias = config.Bool("mlp_bias", false);
  ReadMultipliers(config, decoder);
  ReadRope(config, defaults, decoder);
  return Decoder::Build(decoder);
}

}  // namespace

const Architecture kGranite = {"GraniteForCausalLM", "granite",
                               "Granite 3, 4 (dense)", BuildGranite};

}  // namespace lutra::packer
