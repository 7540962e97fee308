// GPT-2: learned positions, layer norms, biases, matrices stored
// [inputs, outputs].

#include "packer/architectures/architecture.h"
#include "packer/architectures/decoder_config.h"

namespace lutra::packer {
namespace {

Network BuildGpt2(const JsonObject& config) {
  RefuseOptions(config,
                {"add_cross_attention", "scale_attn_by_inverse_layer_idx"});
  if (!config.Bool("scale_attn_weights", true)) {
    config.Fail("scale_attn_weights false is not supported");
  }
  constexpr int64_t kMaxCount = 65536;
  DecoderConfig decoder;
  decoder.vocab = config.Integer("vocab_size", 1, kMaxConfigSize);
  decoder.dim = config.Integer("n_embd", 1, kMaxConfigSize);
  DecoderLayer layer;
  layer.kind = kFullAttention;
  layer.heads = layer.kv_heads = config.Integer("n_head", 1, kMaxCount);
  if (decoder.dim % layer.heads != 0) {
    config.Fail("n_embd is no multiple of n_head");
  }
  layer.head_dim = decoder.dim / layer.heads;
  layer.hidden = config.Integer("n_inner", 1, kMaxConfigSize, 4 * decoder.dim);
  decoder.layers.assign(static_cast<size_t>(config.Integer("n_layer", 1, 2048)),
                        layer);
  decoder.positions = config.Integer("n_positions", 1, kMaxConfigSize, 1024);
  decoder.context = decoder.positions;
  decoder.tied = config.Bool("tie_word_embeddings", true);
  decoder.norm_eps = config.Number("layer_norm_epsilon", 0, 1, 1e-5);
  decoder.activation =
      ReadActivation(config, "activation_function", "gelu_new");
  decoder.layer_norm = true;
  decoder.norm_bias = true;
  decoder.query_key_value_bias = true;
  decoder.attention_output_bias = true;
  decoder.mlp_bias = true;
  decoder.transposed = true;
  decoder.gated = false;
  DecoderNames& names = decoder.names;
  names.embedding = "transformer.wte.weight";
  names.positions = "transformer.wpe.weight";
  names.layer = "transformer.h.";
  names.final_norm = "transformer.ln_f";
  names.attention_norm = "ln_1";
  names.feed_norm = "ln_2";
  names.q = "attn.q";
  names.k = "attn.k";
  names.v = "attn.v";
  names.qkv = "attn.c_attn";
  names.o = "attn.c_proj";
  names.up = "mlp.c_fc";
  names.down = "mlp.c_proj";
  // Masks of older files.
  decoder.ignored = {".attn.bias", ".attn.masked_bias"};
  return Decoder::Build(decoder);
}

}  // namespace

const Architecture kGpt2 = {"GPT2LMHeadModel", "gpt2", "GPT-2, DistilGPT2",
                            BuildGpt2};

}  // namespace lutra::packer
