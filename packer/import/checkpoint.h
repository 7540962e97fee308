#ifndef LUTRA_PACKER_IMPORT_CHECKPOINT_H_
#define LUTRA_PACKER_IMPORT_CHECKPOINT_H_

#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/runtime/safetensors.h"
#include "packer/import/import_plan.h"

namespace lutra::packer {

// The tensors of a folder: model.safetensors, or the shards that
// model.safetensors.index.json lists.
class Checkpoint {
 public:
  // Throws Error.
  explicit Checkpoint(const std::filesystem::path& folder);

  // nullptr if there is none.
  const TensorView* Find(std::string_view name) const;
  // Copies the tensor under its name. Throws Error if it is missing, of another
  // shape, or not floating-point.
  ImportTensor Copy(const std::string& name, std::span<const int64_t> shape,
                    bool float32) const;
  // The file that holds the tensor, or the folder.
  std::string FileOf(std::string_view name) const;
  // Of all tensors, sorted.
  std::vector<std::string> Names() const;

 private:
  using File = std::shared_ptr<const SafetensorsFile>;
  struct Entry {
    File file;
    const TensorView* view = nullptr;
  };

  void ReadIndex(const std::filesystem::path& index);

  std::filesystem::path folder_;
  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_CHECKPOINT_H_
