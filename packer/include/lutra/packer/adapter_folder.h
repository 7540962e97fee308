#ifndef LUTRA_PACKER_ADAPTER_FOLDER_H_
#define LUTRA_PACKER_ADAPTER_FOLDER_H_

#include <cstddef>
#include <filesystem>

#include "lutra/runtime/model.h"

namespace lutra::packer {

struct AdapterReport {
  size_t adapters = 0;
  size_t rank = 0;
  double alpha = 0;  // factor times rank
  size_t bytes = 0;  // of their matrices
};

// Writes the low-rank adapters of a model (see lutra/runtime/adapter.h) as the
// PEFT library does, which with LoadOptions::adapter may be put beside the
// model without them: adapter_config.json and adapter_model.safetensors in
// `folder`, which is made if it is missing. Throws Error for a model without
// adapters, and for adapters of different ranks or factors.
AdapterReport WriteAdapterFolder(const Model& model,
                                 const std::filesystem::path& folder);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_ADAPTER_FOLDER_H_
