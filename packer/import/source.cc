#include "packer/import/source.h"

#include <utility>

#include "packer/import/gguf/block_types.h"
#include "packer/import/gguf/gguf_file.h"
#include "packer/import/import_plan.h"
#include "runtime/base/mapped_file.h"

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
  const std::filesystem::path path = source / kConfigFile;
  const MappedFile file(path);
  const std::string name = path.string();
  const JsonDocument document = ParseJson(file.text(), name, "config");
  return Checkpoint(source, JsonObject(document.root(), name, "config"));
}

}  // namespace lutra::packer
