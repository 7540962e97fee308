#ifndef LUTRA_PACKER_IMPORT_GGUF_GGUF_NETWORK_H_
#define LUTRA_PACKER_IMPORT_GGUF_GGUF_NETWORK_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "packer/import/gguf/gguf_file.h"
#include "runtime/base/json.h"

// How llama.cpp names the parts of a network, and what Hugging Face calls them.

namespace lutra::packer {

struct GgufNetwork {
  // What would be the network's config.json.
  nlohmann::json config;
  // Rows of these heads are ordered for a rotary embedding of neighbouring
  // pairs; 0 where they are as Hugging Face has them.
  int64_t query_heads = 0;
  int64_t key_heads = 0;
};

// Reads the metadata. `first` has it, `tensors` are of all files. Throws Error
// for networks that are not known.
GgufNetwork ReadGgufNetwork(const GgufFile& first,
                            const std::vector<const GgufTensor*>& tensors);

// "model.layers.3.mlp.up_proj.weight" for "blk.3.ffn_up.weight"; nullopt for
// tensors that networks of `architecture` do not have.
std::optional<std::string> HuggingFaceName(std::string_view architecture,
                                           std::string_view name);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_GGUF_GGUF_NETWORK_H_
