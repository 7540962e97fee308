// LFM2: short convolutions, gated before and after, in place of attention in
// most of the layers.

#include <cmath>

#include "packer/architectures/architecture.h"
#include "packer/architectures/decoder_config.h"

namespace lutra::packer {
namespace {

constexpr std::string_view kConvolution = "conv";

// c * conv(b * x), where rows of one matrix make b, c and x.
std::string Convolve(Decoder& d, const std::string& input, int64_t taps,
                     bool bias) {
  GraphBuilder& graph = d.graph();
  const int64_t dim = d.config().dim;
  const auto project = [&](const char* name, int64_t first) {
    return d.LinearOfRows(input, name, dim, dim, bias, "conv.in_proj", first,
                          3 * dim);
  };
  const std::string b = project("conv.b", 0);
  const std::string c = project("conv.c", dim);
  const std::string x = project("conv.x", 2 * dim);
  const std::string bx = graph.Output(OpType::kMul, {b, x}, d.Value("conv.bx"));
  const std::string conv =
      graph.CausalConv1d(d.Value("conv.conv"), bx, d.Tensor("conv.conv.weight"),
                         dim, taps, bias ? d.Tensor("conv.conv.bias") : "");
  const std::string y =
      graph.Output(OpType::kMul, {c, conv}, d.Value("conv.y"));
  return d.Linear(y, "conv.out_proj", dim, dim, bias);
}

int64_t FeedWidth(const JsonObject& config, int64_t width) {
  if (!config.Bool("block_auto_adjust_ff_dim", true)) return width;
  const double factor = config.Number("block_ffn_dim_multiplier", 1e-3, 1e3, 1);
  const int64_t multiple =
      config.Integer("block_multiple_of", 1, kMaxConfigSize, 256);
  width = static_cast<int64_t>(factor * static_cast<double>(2 * width / 3));
  return (width + multiple - 1) / multiple * multiple;
}

Network BuildLfm2(const JsonObject& config) {
  DecoderDefaults defaults;
  defaults.context = 128000;
  defaults.theta = 1e6;
  defaults.eps_key = "norm_eps";
  defaults.eps = 1e-5;
  defaults.kv_heads = 8;
  // The older spelling.
  defaults.hidden = config.Integer("block_ff_dim", 1, kMaxConfigSize, 12288);
  defaults.tied = config.Bool("tie_embedding", true);
  DecoderConfig decoder = ReadDecoder(config, defaults);
  const auto layers = static_cast<int64_t>(decoder.layers.size());
  std::vector<bool> attends(decoder.layers.size(),
                            !config.Has("full_attn_idxs"));
  for (const int64_t i : config.Integers("full_attn_idxs", 0, layers - 1,
                                         decoder.layers.size())) {
    attends[static_cast<size_t>(i)] = true;
  }
  ReadKinds(config,
            [&](int64_t i) {
              return attends[static_cast<size_t>(i)] ? kFullAttention
                                                     : kConvolution;
            },
            decoder, {kConvolution});
  for (DecoderLayer& layer : decoder.layers) {
    layer.hidden = FeedWidth(config, layer.hidden);
  }
  decoder.qk_norm = DecoderConfig::QkNorm::kHeads;
  DecoderNames& names = decoder.names;
  names.attention_norm = "operator_norm";
  names.feed_norm = "ffn_norm";
  names.final_norm = "model.embedding_norm";
  names.q_norm = "self_attn.q_layernorm";
  names.k_norm = "self_attn.k_layernorm";
  names.o = "self_attn.out_proj";
  names.gate = "feed_forward.w1";
  names.up = "feed_forward.w3";
  names.down = "feed_forward.w2";
  ReadRope(config, defaults, decoder);
  const int64_t taps = config.Integer("conv_L_cache", 1, 1024, 3);
  const bool bias = config.Bool("conv_bias", false);
  decoder.attend = [taps, bias](Decoder& d, size_t i, const std::string& x) {
    return d.config().layers[i].kind == kConvolution
               ? Convolve(d, x, taps, bias)
               : std::string();
  };
  return Decoder::Build(decoder);
}

}  // namespace

const Architecture kLfm2 = {"Lfm2ForCausalLM", "lfm2", "LFM2, LFM2.5 (dense)",
                            BuildLfm2};

}  // namespace lutra::packer
