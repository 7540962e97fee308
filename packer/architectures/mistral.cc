// Mistral 7B and Nemo: Llama with a window in all layers; Ministral 8B with one
// in some of them; Ministral 3 with queries that grow with the text.

#include <cmath>

#include "packer/architectures/architecture.h"
#include "packer/architectures/decoder_config.h"

namespace lutra::packer {
namespace {

constexpr int64_t kMistralWindow = 4096;

DecoderConfig Read(const JsonObject& config, const DecoderDefaults& defaults,
                   int64_t window) {
  DecoderConfig decoder = ReadDecoder(config, defaults);
  ReadKinds(
      config,
      [window](int64_t) {
        return window > 0 ? kSlidingAttention : kFullAttention;
      },
      decoder);
  SetWindow(window, decoder);
  ReadRope(config, defaults, decoder);
  return decoder;
}

Network BuildMistral(const JsonObject& config) {
  DecoderDefaults defaults;
  defaults.context = 131072;
  defaults.kv_heads = 8;
  return Decoder::Build(
      Read(config, defaults, ReadWindow(config, kMistralWindow)));
}

Network BuildMinistral3(const JsonObject& config) {
  DecoderDefaults defaults;
  defaults.context = 262144;
  defaults.kv_heads = 8;
  defaults.head_dim = 128;
  defaults.eps = 1e-5;
  DecoderConfig decoder = Read(config, defaults, ReadWindow(config, 0));
  if (config.Has("rope_parameters")) {
    // Queries times 1 + beta * ln(1 + floor(position / original)).
    const JsonObject rope = config.Object("rope_parameters");
    const double beta =
        rope.Number("llama_4_scaling_beta", 0, kMaxConfigNumber, 0);
    decoder.position_period = static_cast<int64_t>(
        rope.Number("original_max_position_embeddings", 1, kMaxConfigNumber,
                    static_cast<double>(decoder.context)));
    constexpr int64_t kMaxFactors = 65536;
    if (decoder.context / decoder.position_period >= kMaxFactors) {
      rope.Fail("original_max_position_embeddings is too small");
    }
    for (int64_t i = 0;
         beta > 0 && i * decoder.position_period < decoder.context; ++i) {
      decoder.position_scale.push_back(
          static_cast<float>(1 + beta * std::log(static_cast<double>(1 + i))));
    }
  }
  return Decoder::Build(decoder);
}

}  // namespace

const Architecture kMistral = {"MistralForCausalLM", "mistral",
                               "Mistral 7B, Nemo, Small", BuildMistral};
const Architecture kMinistral = {"MinistralForCausalLM", "ministral",
                                 "Ministral 8B", BuildMistral};
const Architecture kMinistral3 = {"Ministral3ForCausalLM", "ministral3",
                                  "Ministral 3", BuildMinistral3};

}  // namespace lutra::packer
