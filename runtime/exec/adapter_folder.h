#ifndef LUTRA_RUNTIME_EXEC_ADAPTER_FOLDER_H_
#define LUTRA_RUNTIME_EXEC_ADAPTER_FOLDER_H_

#include <filesystem>
#include <vector>

#include "lutra/runtime/adapter.h"
#include "lutra/runtime/load_options.h"
#include "lutra/runtime/safetensors.h"

// Adapters as the PEFT library writes them: adapter_config.json says what they
// are, adapter_model.safetensors has their matrices.

namespace lutra {

struct AdapterFolder {
  SafetensorsFile file;
  std::vector<Adapter> adapters;
  std::vector<TensorView> tensors;  // of the file, under the adapters' names
};

// The adapters of the layers of `graph`. Throws Error for what is not plain
// low-rank adapters of these layers, or would compute something else than the
// folder's author meant.
AdapterFolder ReadAdapterFolder(const std::filesystem::path& folder,
                                const Graph& graph, Storage storage);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_EXEC_ADAPTER_FOLDER_H_
