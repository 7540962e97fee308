#ifndef LUTRA_PACKER_IMPORT_GGUF_GGUF_ARCHITECTURES_H_
#define LUTRA_PACKER_IMPORT_GGUF_GGUF_ARCHITECTURES_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// How llama.cpp calls networks and their parts, and what Hugging Face calls
// them.

namespace lutra::packer {

// Tensors that go into the frequencies of the rotary embedding: what they are
// divided by, and the factors of Phi's, for short texts and longer ones.
inline constexpr std::string_view kRopeFactors = "rope_freqs.weight";
inline constexpr std::string_view kShortFactors = "rope_factors_short.weight";
inline constexpr std::string_view kLongFactors = "rope_factors_long.weight";

// Names without their endings, ".weight" and ".bias", or with them where
// endings differ.
struct GgufRenamed {
  std::string_view from;  // in GGUF files
  // In Hugging Face's; a star stands for the number of an expert, whose
  // matrices are one tensor in GGUF files.
  std::string_view to;
};

struct GgufArchitecture {
  std::string_view name;
  std::string_view type;     // model_type
  std::string_view network;  // class
  // Rows of queries and keys of each head are ordered for a rotary embedding of
  // neighbouring pairs.
  bool permuted = false;
  // Norms are larger by one than in Hugging Face's files.
  bool norms_plus_one = false;
  // Whether there are experts, and windows: with some names it depends.
  bool experts = false;
  bool windows = false;
  // Matrices of blocks are stored with outputs as columns by Hugging Face.
  bool transposed = false;
  // The one tensor that has the rows of gate and up of all experts there, each
  // expert's one below the other or in turns; empty: there is none.
  std::string_view gate_up = {};
  bool in_turns = false;
  std::string_view act = "silu";  // hidden_act, where the file does not say it
  std::string_view act_key = "hidden_act";
  std::string_view eps_key = "rms_norm_eps";
  std::string_view layer = "model.layers.";  // in front of a block's number
  // Names that differ from the common ones: of blocks, and others.
  std::initializer_list<GgufRenamed> blocks = {};
  std::initializer_list<GgufRenamed> outside = {};
};

std::span<const GgufArchitecture> GgufArchitectures();

// nullptr if there is none. `experts` and `windows` are whether the file has
// any.
const GgufArchitecture* FindGgufArchitecture(std::string_view name,
                                             bool experts, bool windows);
// That of a class of Hugging Face's.
const GgufArchitecture* FindGgufArchitectureOf(std::string_view network);

// "model.layers.3.mlp.up_proj.weight" for "blk.3.ffn_up.weight"; nullopt for
// tensors that such networks do not have.
std::optional<std::string> HuggingFaceName(const GgufArchitecture& architecture,
                                           std::string_view name);

// And back. `expert` is the place in the tensor, of experts.
struct GgufName {
  std::string name;
  std::optional<size_t> expert;
  bool operator==(const GgufName&) const = default;
};
std::optional<GgufName> FindGgufName(const GgufArchitecture& architecture,
                                     std::string_view name);

// How Qwen 3.5's linear attention has its heads of values. Those that share a
// head of keys are neighbours in Hugging Face's files; in GGUF files each is
// followed by that of the next keys.
struct ValueHeads {
  enum class Axis { kRows, kColumns };

  size_t key_heads = 0;
  size_t heads = 0;
  size_t width = 0;  // of one

  bool Differ() const { return key_heads != heads; }
  // Along what a tensor of Hugging Face's name has such heads; nullopt: along
  // nothing.
  static std::optional<Axis> AxisOf(std::string_view name);
  // Place i in the file is place order[i] of Hugging Face's tensor of that
  // name, which has `size` places along the axis; empty if it cannot have.
  // `inverse`: the other way round.
  std::vector<uint32_t> Order(std::string_view name, size_t size,
                              bool inverse) const;
};

// Row i of a tensor of queries or keys in the file is row order[i] of Hugging
// Face's: the elements that a rotary embedding turns together are neighbours in
// the file, halves of a head elsewhere. `inverse`: the other way round.
std::vector<uint32_t> PairedRows(size_t rows, size_t heads, bool inverse);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_GGUF_GGUF_ARCHITECTURES_H_
