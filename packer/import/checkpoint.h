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

// A tensor and the file that it lies in, which stays mapped as long as this.
struct StoredTensor {
  std::shared_ptr<const SafetensorsFile> file;
  const TensorView* view = nullptr;
};

// The tensors of a folder: model.safetensors, or the shards that
// model.safetensors.index.json lists.
class Checkpoint {
 public:
  // Throws Error.
  explicit Checkpoint(const std::filesystem::path& folder);

  // Adds the tensors of a file of the folder, under names with `prefix`.
  // Throws Error.
  void Add(const std::filesystem::path& file, std::string_view prefix);

  // nullptr if there is none.
  const TensorView* Find(std::string_view name) const;
  // Throws Error if it is missing.
  StoredTensor Get(std::string_view name) const;
  // The file that holds the tensor, or the folder.
  std::string FileOf(std::string_view name) const;
  // Of all tensors, sorted.
  std::vector<std::string> Names() const;

 private:
  using File = std::shared_ptr<const SafetensorsFile>;

  void ReadIndex(const std::filesystem::path& index);

  std::filesystem::path folder_;
  std::map<std::string, StoredTensor, std::less<>> entries_;
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_CHECKPOINT_H_
