#ifndef LUTRA_PACKER_IMPORT_GGUF_GGUF_NETWORK_H_
#define LUTRA_PACKER_IMPORT_GGUF_GGUF_NETWORK_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "packer/architectures/encoder.h"
#include "packer/import/gguf/gguf_architectures.h"
#include "packer/import/gguf/gguf_file.h"
#include "runtime/base/json.h"

// The network that a file's metadata describes.

namespace lutra::packer {

struct GgufNetwork {
  const GgufArchitecture* architecture = nullptr;
  // What would be the network's config.json.
  nlohmann::json config;
  // Rows of these heads are ordered for a rotary embedding of neighbouring
  // pairs; 0 where they are as Hugging Face has them.
  int64_t query_heads = 0;
  int64_t key_heads = 0;
  // Of networks with linear attention.
  ValueHeads value_heads = {};
  // Blocks from this one on predict several tokens at once and have no place in
  // the network; 0: there are none.
  int64_t beyond = 0;
  // Of networks that are encoders.
  std::optional<EncoderHead> head = {};

  // Whether a tensor belongs to such a block.
  bool IsBeyond(std::string_view name) const;
};

// Reads the metadata. `first` has it, `tensors` are of all files. Throws Error
// for networks that are not known.
GgufNetwork ReadGgufNetwork(const GgufFile& first,
                            const std::vector<const GgufTensor*>& tensors);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_GGUF_GGUF_NETWORK_H_
