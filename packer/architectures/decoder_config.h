#ifndef LUTRA_PACKER_ARCHITECTURES_DECODER_CONFIG_H_
#define LUTRA_PACKER_ARCHITECTURES_DECODER_CONFIG_H_

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>

#include "packer/architectures/decoder.h"
#include "runtime/base/json_object.h"

// What the configurations of decoders have in common, in the spelling of
// transformers 4 and that of 5. All functions throw Error, naming the file, for
// sizes that are not possible and for options that are not supported.

namespace lutra::packer {

inline constexpr int64_t kMaxConfigSize = int64_t{1} << 24;
inline constexpr double kMaxConfigNumber = 1e12;

inline constexpr std::string_view kFullAttention = "full_attention";
inline constexpr std::string_view kSlidingAttention = "sliding_attention";

// Matrices of the checkpoint of one kind, over all layers: above any model's.
// Each takes memory before a checkpoint is looked at.
inline constexpr int64_t kMaxParts = int64_t{1} << 17;

// What a configuration class takes for granted. 0: must be given, unless
// something else is said.
struct DecoderDefaults {
  int64_t context = 2048;
  double theta = 10000;
  double rotary_part = 1;  // of a head
  std::string_view eps_key = "rms_norm_eps";
  double eps = 1e-6;
  std::string_view activation_key = "hidden_act";
  std::string_view activation = "silu";
  bool tied = false;
  int64_t vocab = 0;
  int64_t dim = 0;
  int64_t hidden = 0;
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;  // 0: those of the queries
  int64_t head_dim = 0;  // 0: dim / heads
  // What rope's types "su" and "yarn" mean.
  bool old_long_rope = false;
};

// Sizes, norms, activation, whether matrices are tied.
DecoderConfig ReadDecoder(const JsonObject& config,
                          const DecoderDefaults& defaults);

// The function of a name, e.g. "gelu_new".
OpType ReadActivation(const JsonObject& config, std::string_view key,
                      std::string_view fallback);

// The kinds of the layers: `layer_types`, or what `kind` says of layer i. Kinds
// beside full and sliding attention are those of `others`.
void ReadKinds(const JsonObject& config,
               const std::function<std::string_view(int64_t i)>& kind,
               DecoderConfig& decoder,
               std::initializer_list<std::string_view> others = {});

// `sliding_window`, or what it is if not mentioned; null is none, 0.
int64_t ReadWindow(const JsonObject& config, int64_t fallback);
// Gives the window to layers of sliding attention. One that is never full is
// none.
void SetWindow(int64_t window, DecoderConfig& decoder);

// The rotary embedding of all layers, or of each kind of layers one.
void ReadRope(const JsonObject& config, const DecoderDefaults& defaults,
              DecoderConfig& decoder);
// One scheme: `scaling` is rope_parameters or rope_scaling, or nullptr.
RopeScheme ReadRopeScheme(const JsonObject& config, const JsonObject* scaling,
                          const DecoderDefaults& defaults, int64_t context,
                          double theta);
// The scheme of layers of full attention in the older spelling of models that
// have two: rope_scaling says what is special about it.
RopeScheme ReadFullRope(const JsonObject& config,
                        const DecoderDefaults& defaults, int64_t context,
                        double theta);
// As a further one of layers of a kind.
void AddRope(const RopeScheme& scheme, std::string_view kind,
             double rotary_part, const JsonObject& config,
             DecoderConfig& decoder);

// The factors of Granite's embedding, scores, outputs of both parts and logits.
void ReadMultipliers(const JsonObject& config, DecoderConfig& decoder);

// Throws if all layers together have more than kMaxParts of `each` per layer,
// which the member `key` says.
void CheckParts(const JsonObject& config, std::string_view key, int64_t each,
                const DecoderConfig& decoder);

// Refuses options that change what the network computes.
void RefuseOptions(const JsonObject& config,
                   std::initializer_list<const char*> keys);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_ARCHITECTURES_DECODER_CONFIG_H_
