// SmolLM3: Llama without a rotary embedding in some of the layers.

#include "packer/architectures/architecture.h"
#include "packer/architectures/decoder_config.h"

namespace lutra::packer {
namespace {

Network BuildSmollm3(const JsonObject& config) {
  DecoderDefaults defaults;
  defaults.context = 32768;
  defaults.theta = 2e6;
  defaults.kv_heads = 4;
  defaults.tied = true;
  DecoderConfig decoder = ReadDecoder(config, defaults);
  decoder.query_key_value_bias = config.Bool("attention_bias", false);
  decoder.attention_output_bias = decoder.query_key_value_bias;
  decoder.mlp_bias = config.Bool("mlp_bias", false);

  std::vector<int64_t> turns;  // 0: the layer has no rotary embedding
  const auto layers = static_cast<int64_t>(decoder.layers.size());
  if (config.Has("no_rope_layers")) {
    turns = config.Integers("no_rope_layers", 0, 1, decoder.layers.size());
    if (turns.size() != decoder.layers.size()) {
      config.Fail("no_rope_layers are not as many as the layers");
    }
  } else {
    const int64_t interval =
        config.Integer("no_rope_layer_interval", 1, kMaxConfigSize, 4);
    for (int64_t i = 0; i < layers; ++i) {
      turns.push_back((i + 1) % interval != 0 ? 1 : 0);
    }
  }
  const int64_t window =
      config.Bool("use_sliding_window", false) ? ReadWindow(config, 0) : 0;
  ReadKinds(
      config,
      [&](int64_t i) {
        return window > 0 && turns[static_cast<size_t>(i)] == 0
                   ? kSlidingAttention
                   : kFullAttention;
      },
      decoder);
  SetWindow(window, decoder);
  ReadRope(config, defaults, decoder);
  for (size_t i = 0; i < turns.size(); ++i) {
    if (turns[i] == 0) decoder.layers[i].rope = -1;
  }
  return Decoder::Build(decoder);
}

}  // namespace

const Architecture kSmolLm3 = {"SmolLM3ForCausalLM", "smollm3", "SmolLM3",
                               BuildSmollm3};

}  // namespace lutra::packer
