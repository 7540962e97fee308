#include "packer/import/source.h"

#include <utility>

#include "packer/import/gguf/block_types.h"
#include "packer/import/gguf/gguf_file.h"
#include "packer/import/import_plan.h"
#include "packer/import/json_file.h"

namespace lutra::packer {

Checkpoint OpenCheckpoint(const std::filesystem::path& source) {
  if (IsGguf(source)) {
    RawTensors plain;
    StoredWeights stored;
    for (const auto& file : OpenGguf(source)) {
      for (const GgufTensor& tensor : file->tensors()) {
        AddGgufTensor(file, tensor, tensor.name, plain, stored);
      }
    }
    return Checkpoint(source.string(), std::move(plain), std::move(stored));
  }
  return Checkpoint(source, JsonFile(source / kConfigFile, "config").object());
}

}  // namespace lutra::packer
