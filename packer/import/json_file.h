#ifndef LUTRA_PACKER_IMPORT_JSON_FILE_H_
#define LUTRA_PACKER_IMPORT_JSON_FILE_H_

#include <filesystem>
#include <string>

#include "runtime/base/json_object.h"
#include "runtime/base/mapped_file.h"

namespace lutra::packer {

// A JSON file and access to its root, which is valid as long as this is.
class JsonFile {
 public:
  // `what` it is, for messages. Throws Error.
  JsonFile(const std::filesystem::path& path, const std::string& what)
      : name_(path.string()), what_(what) {
    const MappedFile file(path);
    document_ = ParseJson(file.text(), name_, what_);
  }

  JsonObject object() const {
    return JsonObject(document_.root(), name_, what_);
  }

 private:
  std::string name_;
  std::string what_;
  JsonDocument document_;
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_JSON_FILE_H_
