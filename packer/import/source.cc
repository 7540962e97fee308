#include "packer/import/source.h"

#include "packer/import/import_plan.h"
#include "runtime/base/mapped_file.h"

namespace lutra::packer {

Checkpoint OpenCheckpoint(const std::filesystem::path& source) {
  const std::filesystem::path path = source / kConfigFile;
  const MappedFile file(path);
  const std::string name = path.string();
  const JsonDocument document = ParseJson(file.text(), name, "config");
  return Checkpoint(source, JsonObject(document.root(), name, "config"));
}

}  // namespace lutra::packer
