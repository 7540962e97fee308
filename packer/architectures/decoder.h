#ifndef LUTRA_PACKER_ARCHITECTURES_DECODER_H_
#define LUTRA_PACKER_ARCHITECTURES_DECODER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "packer/architectures/graph_builder.h"
#include "packer/architectures/network.h"
#include "packer/architectures/rope.h"

// Decoders built of layers of attention and feed-forward parts around a stream,
// as Llama's (https://arxiv.org/abs/2302.13971) and those after it. An
// architecture fills in a DecoderConfig; what is too far from the common plan
// it builds itself, in the hooks. Matrices are [outputs, inputs].

namespace lutra::packer {

// What may differ between layers.
struct DecoderLayer {
  std::string kind;      // of its attention, by the configuration
  int64_t heads = 0;     // of queries
  int64_t kv_heads = 0;  // divides heads
  int64_t head_dim = 0;
  int64_t hidden = 0;  // of the feed-forward part
  int64_t window = 0;  // of attention, in tokens; 0: none
  int rope = -1;       // which of the config's; -1: none

  int64_t query_dim() const { return heads * head_dim; }
  int64_t key_value_dim() const { return kv_heads * head_dim; }
};

struct DecoderRope {
  RopeScheme scheme;
  int64_t dim = 0;  // leading elements of a head that rotate; even
  // Inverse frequencies [dim / 2], with any scaling folded in. Checkpoints lack
  // them.
  std::string tensor = "lutra.rope";
};

// How tensors are called; layers' follow `layer`, their number and a point.
struct DecoderNames {
  std::string embedding = "model.embed_tokens.weight";
  std::string positions;    // learned ones; empty: none
  std::string token_types;  // of which the first is added to these
  std::string embedding_norm;
  std::string layer = "model.layers.";
  std::string final_norm = "model.norm";  // empty: none
  std::string output = "lm_head.weight";  // empty: none
  // Norms; empty: there is none.
  std::string attention_norm = "input_layernorm";
  std::string attended_norm;  // of attention's output
  std::string feed_norm = "post_attention_layernorm";
  std::string fed_norm;  // of the feed-forward part's output
  // Of the stream after each part.
  std::string attended_sum_norm;
  std::string fed_sum_norm;
  std::string q = "self_attn.q_proj";
  std::string k = "self_attn.k_proj";
  std::string v = "self_attn.v_proj";
  std::string o = "self_attn.o_proj";
  std::string qkv;  // rows of q, k and v in one matrix, instead of three
  std::string q_norm = "self_attn.q_norm";
  std::string k_norm = "self_attn.k_norm";
  std::string sinks = "self_attn.sinks";
  std::string attention_sub_norm;  // before o
  std::string gate = "mlp.gate_proj";
  std::string up = "mlp.up_proj";
  std::string down = "mlp.down_proj";
  std::string gate_up;        // rows of both in one matrix
  std::string feed_sub_norm;  // before down
};

struct DecoderConfig {
  std::string architecture;
  int64_t vocab = 0;
  int64_t dim = 0;  // of the stream
  int64_t context = 0;
  bool tied = false;
  std::vector<DecoderLayer> layers;
  std::vector<DecoderRope> ropes;
  DecoderNames names;
  std::vector<std::string> ignored;  // see Network

  // Norms: over the deviation too, with a bias, weights that are less by 1.
  bool layer_norm = false;
  bool norm_bias = false;
  bool norm_plus_one = false;
  double norm_eps = 1e-5;

  bool query_key_value_bias = false;
  bool attention_output_bias = false;
  bool mlp_bias = false;
  bool transposed = false;  // matrices of layers are stored [inputs, outputs]

  // Norms of queries and keys: of each head, or of all together.
  enum class QkNorm { kNone, kHeads, kAll };
  QkNorm qk_norm = QkNorm::kNone;
  double clip_qkv = 0;          // queries, keys, values; 0: none
  bool adjacent_pairs = false;  // rotary pairs (2i, 2i + 1), else halves
  double attention_scale = 0;   // 0: 1 / sqrt(head_dim)
  double attention_soft_cap = 0;
  bool sinks = false;
  bool both_directions = false;  // of attention
  // Queries grow: by factor position_scale[position / position_period].
  std::vector<float> position_scale;
  int64_t position_period = 0;

  OpType activation = OpType::kSilu;
  bool gated = true;      // act(gate(x)) * up(x), else act(up(x))
  bool parallel = false;  // both parts read one norm of the stream

  double embedding_scale = 1;
  double residual_scale = 1;  // of the outputs of both parts
  double logits_scale = 1;
  double logits_soft_cap = 0;

  int64_t positions = 0;    // learned ones, see DecoderNames
  int64_t token_types = 0;  // likewise

  // Before the first layer, from the embedding (`x`); returns the stream.
  std::function<std::string(class Decoder&, const std::string& x)> begin;
  // In place of the common attention and feed-forward part of layer `i`, from
  // their normalized input; returns the output, or "" for the common one.
  std::function<std::string(class Decoder&, size_t i, const std::string& x)>
      attend;
  std::function<std::string(class Decoder&, size_t i, const std::string& x)>
      feed;
  // At the end of layer `i`; returns the stream.
  std::function<std::string(class Decoder&, size_t i, const std::string& x)>
      finish;
};

// Builds the graph. Input "ids" (int32, one per token), output "logits"
// [vocab], or without an output matrix the hidden states. Checks nothing: what
// does not fit together is found when the model is loaded. Hooks use the other
// functions, all of which name values and tensors after the layer at hand.
class Decoder {
 public:
  explicit Decoder(const DecoderConfig& config);

  static Network Build(const DecoderConfig& config);

  const DecoderConfig& config() const { return config_; }
  GraphBuilder& graph() { return graph_; }
  // The layer's names of a value and of a tensor.
  std::string Value(const std::string& name) const { return value_ + name; }
  std::string Tensor(const std::string& name) const { return prefix_ + name; }

  std::string Norm(const std::string& x, const std::string& name);
  // The same over parts of x that are as long as the weight, `width`.
  std::string Norm(const std::string& x, const std::string& name,
                   int64_t width);
  std::string Linear(const std::string& x, const std::string& name, int64_t n,
                     int64_t k, bool bias);
  // Of `n` rows of the tensor `stored`, which has `of`, from `first` on.
  std::string LinearOfRows(const std::string& x, const std::string& name,
                           int64_t n, int64_t k, bool bias,
                           const std::string& stored, int64_t first,
                           int64_t of);
  // Queries or keys, turned by the layer's rope if it has one.
  std::string Rotate(size_t i, const std::string& x);
  // What attention makes of queries, keys and values.
  std::string AttendTo(size_t i, const std::string& q, const std::string& k,
                       const std::string& v);
  // act(gate(x)) * up(x), or act(up(x)), and down.
  std::string Feed(size_t i, const std::string& x);

 private:
  void Run();
  void BeginLayer(size_t i);
  std::string Layer(size_t i, const std::string& x);
  std::string Attend(size_t i, const std::string& x);
  std::string NormOfHeads(size_t i, const std::string& x,
                          const std::string& name, int64_t heads);
  std::string Branch(const std::string& x, const std::string& norm,
                     const std::string& value);

  const DecoderConfig& config_;
  Network network_;
  GraphBuilder graph_;
  std::string prefix_;  // of tensors
  std::string value_;   // of values
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_ARCHITECTURES_DECODER_H_
