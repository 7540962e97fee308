#ifndef LUTRA_PACKER_IMPORT_TORCH_FILE_TORCH_FILE_H_
#define LUTRA_PACKER_IMPORT_TORCH_FILE_TORCH_FILE_H_

#include <filesystem>

#include "packer/import/raw_tensors.h"

namespace lutra::packer {

// Adds the tensors of a file of torch.save (pytorch_model.bin), in place.
// Tensors of torchao's classes come as the parts and the metadata that its
// safetensors have. Throws Error.
void AddTorchFile(const std::filesystem::path& path, RawTensors& result);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_TORCH_FILE_TORCH_FILE_H_
