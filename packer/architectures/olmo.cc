// OLMo 2: norms of the outputs of both parts instead of their inputs, and of
// all queries and keys together; OLMo 3: with windows, and a rotary embedding
// that is scaled in the layers without.

#include "packer/architectures/architecture.h"
#include "packer/architectures/decoder_config.h"

namespace lutra::packer {
namespace {

DecoderConfig ReadOlmo(const JsonObject& config,
                       const DecoderDefaults& defaults) {
  DecoderConfig decoder = ReadDecoder(config, defaults);
  decoder.query_key_value_bias = config.Bool("attention_bias", false);
  decoder.attention_output_bias = decoder.query_key_value_bias;
  decoder.qk_norm = DecoderConfig::QkNorm::kAll;
  decoder.names.attention_norm.clear();
  decoder.names.attended_norm = "post_attention_layernorm";
  decoder.names.feed_norm.clear();
  decoder.names.fed_norm = "post_feedforward_layernorm";
  return decoder;
}

Network BuildOlmo2(const JsonObject& config) {
  DecoderDefaults defaults;
  defaults.eps = 1e-5;
  DecoderConfig decoder = ReadOlmo(config, defaults);
  ReadRope(config, defaults, decoder);
  return Decoder::Build(decoder);
}

Network BuildOlmo3(const JsonObject& config) {
  DecoderDefaults defaults;
  defaults.eps = 1e-5;
  defaults.theta = 5e5;
  DecoderConfig decoder = ReadOlmo(config, defaults);
  ReadKinds(
      config,
      [](int64_t i) {
        return (i + 1) % 4 != 0 ? kSlidingAttention : kFullAttention;
      },
      decoder);
  SetWindow(ReadWindow(config, 4096), decoder);
  if (config.Has("rope_parameters")) {
    ReadRope(config, defaults, decoder);
    // As transformers, which looks for it beside the kinds.
    for (DecoderRope& rope : decoder.ropes) rope.scheme.truncate = true;
  } else {
    // The older spelling is that of the layers without a window; the others
    // have the default base whatever it says, as in transformers.
    RopeScheme full =
        ReadFullRope(config, defaults, decoder.context, defaults.theta);
    full.truncate = true;
    RopeScheme sliding;
    sliding.theta = defaults.theta;
    AddRope(full, kFullAttention, 1, config, decoder);
    AddRope(sliding, kSlidingAttention, 1, config, decoder);
  }
  return Decoder::Build(decoder);
}

}  // namespace

const Architecture kOlmo2 = {"Olmo2ForCausalLM", "olmo2", "OLMo 2", BuildOlmo2};
const Architecture kOlmo3 = {"Olmo3ForCausalLM", "olmo3", "OLMo 3", BuildOlmo3};

}  // namespace lutra::packer
