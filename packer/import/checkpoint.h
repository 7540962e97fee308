#ifndef LUTRA_PACKER_IMPORT_CHECKPOINT_H_
#define LUTRA_PACKER_IMPORT_CHECKPOINT_H_

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "packer/import/import_plan.h"
#include "packer/import/raw_tensors.h"
#include "packer/import/stored/weight_formats.h"

namespace lutra::packer {

// The weights of a checkpoint: floats as they lie in its files, and quantized
// ones, whatever their format.
class Checkpoint {
 public:
  // A folder of safetensors with its config.json. Throws Error.
  Checkpoint(const std::filesystem::path& folder, const JsonObject& config);
  // What was read elsewhere; `name` is for messages.
  Checkpoint(std::string name, RawTensors plain, StoredWeights stored);

  // Adds the tensors of a file of the folder, under names with `prefix`.
  // Throws Error.
  void Add(const std::filesystem::path& file, std::string_view prefix);

  bool Has(std::string_view name) const;
  // A tensor of floats; nullptr if there is none.
  const TensorView* Find(std::string_view name) const;
  // Whether two tensors are one, byte for byte. Quantized ones never are.
  bool Same(std::string_view a, std::string_view b) const;
  // Throws Error if there is no tensor of floats of that name.
  const RawTensor& Get(std::string_view name) const;
  // nullptr if the tensor is of floats, or missing.
  const StoredWeight* FindStored(std::string_view name) const;
  // The file that holds the tensor, or the folder.
  std::string FileOf(std::string_view name) const;
  // Of all tensors, sorted.
  std::vector<std::string> Names() const;

  const RawTensors& plain() const { return plain_; }
  const StoredWeights& stored() const { return stored_; }
  // What quantized weights came with and is left out, for people.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  std::string name_;
  RawTensors plain_;
  std::vector<std::string> notes_;
  StoredWeights stored_;
};

// A quantized weight as a tensor of the model. Throws Error.
ImportTensor HeldTensor(const std::string& name, const StoredWeight& weight,
                        bool dequantize);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_CHECKPOINT_H_
