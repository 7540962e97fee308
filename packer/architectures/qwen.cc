// Qwen 2 and 2.5: Llama with biases of queries, keys and values; Qwen 3: norms
// of each head of queries and keys instead.

#include <limits>

#include "packer/architectures/architecture.h"
#include "packer/architectures/decoder_config.h"

namespace lutra::packer {
namespace {

constexpr int64_t kQwenWindow = 4096;
constexpr int64_t kLayersWithoutWindow = 28;

DecoderConfig ReadQwen(const JsonObject& config,
                       const DecoderDefaults& defaults) {
  DecoderConfig decoder = ReadDecoder(config, defaults);
  const int64_t window = config.Bool("use_sliding_window", false)
                             ? ReadWindow(config, kQwenWindow)
                             : 0;
  const int64_t first =
      config.Integer("max_window_layers", 0,
                     std::numeric_limits<int32_t>::max(), kLayersWithoutWindow);
  ReadKinds(
      config,
      [=](int64_t i) {
        return window > 0 && i >= first ? kSlidingAttention : kFullAttention;
      },
      decoder);
  SetWindow(window, decoder);
  ReadRope(config, defaults, decoder);
  return decoder;
}

Network BuildQwen2(const JsonObject& config) {
  DecoderDefaults defaults;
  defaults.context = 32768;
  DecoderConfig decoder = ReadQwen(config, defaults);
  decoder.query_key_value_bias = true;
  return Decoder::Build(decoder);
}

Network BuildQwen3(const JsonObject& config) {
  DecoderDefaults defaults;
  defaults.context = 32768;
  defaults.head_dim = 128;
  DecoderConfig decoder = ReadQwen(config, defaults);
  decoder.query_key_value_bias = config.Bool("attention_bias", false);
  decoder.attention_output_bias = decoder.query_key_value_bias;
  decoder.qk_norm = DecoderConfig::QkNorm::kHeads;
  return Decoder::Build(decoder);
}

}  // namespace

const Architecture kQwen2 = {"Qwen2ForCausalLM", "qwen2", "Qwen 2, 2.5",
                             BuildQwen2};
const Architecture kQwen3 = {"Qwen3ForCausalLM", "qwen3", "Qwen 3, Bonsai",
                             BuildQwen3};

}  // namespace lutra::packer
