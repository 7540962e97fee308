#ifndef LUTRA_PACKER_IMPORT_HUGGINGFACE_HUGGINGFACE_CONFIG_H_
#define LUTRA_PACKER_IMPORT_HUGGINGFACE_HUGGINGFACE_CONFIG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "packer/architectures/llama_graph.h"
#include "packer/import/rope.h"
#include "runtime/base/json_object.h"

namespace lutra::packer {

// config.json of the architectures that are Llama in all but details.
struct HuggingFaceConfig {
  std::string architecture;  // "LlamaForCausalLM"
  LlamaConfig llama;         // but for the names of tensors
  RopeScheme rope;
  int64_t context = 0;
  bool tied = false;  // the embedding's matrix is the output's
};

// Both spellings: rope_theta and rope_scaling of transformers 4,
// rope_parameters of transformers 5. Throws Error for architectures and options
// that are not supported, by name, and for sizes that are not possible.
HuggingFaceConfig ReadHuggingFaceConfig(const JsonObject& config);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_HUGGINGFACE_HUGGINGFACE_CONFIG_H_
