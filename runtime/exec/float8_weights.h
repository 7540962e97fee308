#ifndef LUTRA_RUNTIME_EXEC_FLOAT8_WEIGHTS_H_
#define LUTRA_RUNTIME_EXEC_FLOAT8_WEIGHTS_H_

#include <map>
#include <string>

#include "lutra/runtime/graph.h"
#include "lutra/runtime/model.h"
#include "lutra/runtime/safetensors.h"

namespace lutra {

// Weights that a file stores as 8-bit floats (docs/model_file.md) become
// float32 tensors, and the tensors of their scales go. Returns what stood in
// the file, by name, with the bytes of the scales. Throws Error.
std::map<std::string, StoredTensor, std::less<>> ExpandFloat8(
    const Graph& graph, SafetensorsFile& file);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_EXEC_FLOAT8_WEIGHTS_H_
