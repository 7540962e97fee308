#ifndef LUTRA_PACKER_ARCHITECTURES_LLAMA_GRAPH_H_
#define LUTRA_PACKER_ARCHITECTURES_LLAMA_GRAPH_H_

#include <cstdint>
#include <string>
#include <vector>

#include "lutra/runtime/graph.h"
#include "packer/architectures/network.h"

// The plain decoder of Llama 1 and 2, Mistral, Qwen2, SmolLM, TinyLlama and
// llama2.c by a few numbers: what sources without a config.json and synthetic
// models are made of. Tensors have the names of Hugging Face checkpoints,
// matrices are [outputs, inputs].

namespace lutra::packer {

struct LlamaConfig {
  int64_t vocab = 0;
  int64_t dim = 0;     // of the residual stream
  int64_t hidden = 0;  // of the feed-forward layers
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;    // divides heads
  int64_t head_dim = 0;    // even
  int64_t rotary_dim = 0;  // leading elements of a head that rotate; even
  double norm_eps = 1e-5;
  double rope_theta = 1e4;
  bool query_key_value_bias = false;
  bool adjacent_pairs = false;  // rotary pairs (2i, 2i + 1), else halves
  int64_t window = 0;           // of attention, in tokens; 0: none

  // Tensors whose names differ between checkpoints. A model whose output shares
  // the embedding's matrix has the same name twice.
  std::string embedding = "model.embed_tokens.weight";
  std::string output = "lm_head.weight";
  // Inverse frequencies [rotary_dim / 2] of the rotary embedding.
  std::string rope = "lutra.rope";

  bool tied() const { return embedding == output; }
  int64_t query_dim() const { return heads * head_dim; }
  int64_t key_value_dim() const { return kv_heads * head_dim; }
};

// Input "ids" (int32, one per token), output "logits" [vocab]. Checks nothing:
// what does not fit together is found when the model is loaded.
Graph LlamaGraph(const LlamaConfig& config);

using LlamaTensor = NetworkTensor;

// The tensors that the graph uses, each once, in the order of the graph.
std::vector<LlamaTensor> LlamaTensors(const LlamaConfig& config);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_ARCHITECTURES_LLAMA_GRAPH_H_
