// BERT (Devlin et al., 2018) and the sentence encoders made of it: attention in
// both directions, a norm of the stream after each part.

#include "packer/architectures/architecture.h"
#include "packer/architectures/decoder_config.h"

namespace lutra::packer {
namespace {

Network BuildBert(const JsonObject& config) {
  RefuseOptions(config, {"is_decoder", "add_cross_attention"});
  const std::string positions =
      config.String("position_embedding_type", "absolute");
  if (positions != "absolute") {
    config.Fail("position_embedding_type '" + positions + "' is not supported");
  }
  DecoderDefaults defaults;
  defaults.context = 512;
  defaults.eps_key = "layer_norm_eps";
  defaults.eps = 1e-12;
  defaults.activation = "gelu";
  DecoderConfig decoder = ReadDecoder(config, defaults);
  decoder.positions = decoder.context;
  decoder.token_types = config.Integer("type_vocab_size", 1, kMaxConfigSize, 2);
  decoder.tied = false;
  decoder.both_directions = true;
  decoder.layer_norm = true;
  decoder.norm_bias = true;
  decoder.query_key_value_bias = true;
  decoder.attention_output_bias = true;
  decoder.mlp_bias = true;
  decoder.gated = false;
  DecoderNames& names = decoder.names;
  names.embedding = "bert.embeddings.word_embeddings.weight";
  names.positions = "bert.embeddings.position_embeddings.weight";
  names.token_types = "bert.embeddings.token_type_embeddings.weight";
  names.embedding_norm = "bert.embeddings.LayerNorm";
  names.layer = "bert.encoder.layer.";
  names.attention_norm.clear();
  names.feed_norm.clear();
  names.final_norm.clear();
  names.attended_sum_norm = "attention.output.LayerNorm";
  names.fed_sum_norm = "output.LayerNorm";
  names.q = "attention.self.query";
  names.k = "attention.self.key";
  names.v = "attention.self.value";
  names.o = "attention.output.dense";
  names.up = "intermediate.dense";
  names.down = "output.dense";
  names.output.clear();
  decoder.ignored = {"embeddings.position_ids", "pooler.dense.weight",
                     "pooler.dense.bias", "cls."};
  return Decoder::Build(decoder);
}

}  // namespace

const Architecture kBert = {"BertModel", "bert",
                            "BERT: MiniLM, BGE, E5, GTE (sentence vectors)",
                            BuildBert};

}  // namespace lutra::packer
