#include "packer/architectures/llama_graph.h"

#include <utility>

#include "packer/architectures/decoder.h"

namespace lutra::packer {
namespace {

Network Build(const LlamaConfig& config) {
  DecoderConfig decoder;
  decoder.vocab = config.vocab;
  decoder.dim = config.dim;
  DecoderLayer layer;
  layer.heads = config.heads;
  layer.kv_heads = config.kv_heads;
  layer.head_dim = config.head_dim;
  layer.hidden = config.hidden;
  layer.window = config.window;
  layer.rope = 0;
  decoder.layers.assign(static_cast<size_t>(config.layers), layer);
  DecoderRope& rope = decoder.ropes.emplace_back();
  rope.scheme.theta = config.rope_theta;
  rope.dim = config.rotary_dim;
  rope.tensor = config.rope;
  decoder.names.embedding = config.embedding;
  decoder.names.output = config.output;
  decoder.norm_eps = config.norm_eps;
  decoder.query_key_value_bias = config.query_key_value_bias;
  decoder.adjacent_pairs = config.adjacent_pairs;
  return Decoder::Build(decoder);
}

}  // namespace

Graph LlamaGraph(const LlamaConfig& config) { return Build(config).graph; }

std::vector<LlamaTensor> LlamaTensors(const LlamaConfig& config) {
  return Build(config).tensors;
}

}  // namespace lutra::packer
