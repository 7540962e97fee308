#ifndef LUTRA_TOOLS_CLI_INPUT_DATA_H_
#define LUTRA_TOOLS_CLI_INPUT_DATA_H_

#include <cstddef>
#include <filesystem>
#include <vector>

#include "lutra/runtime/model.h"

namespace lutra::tools {

// Tokens for one input, as its type and shape demand.
struct InputData {
  size_t tokens = 0;
  std::vector<std::byte> bytes;
};

// Reads a .npy or an idx file (told by its content) for the input `value`. The
// file's shape is [tokens, ...] with as many elements per token as the value
// has, or just the value's shape for one token. Bytes for a float32 input are
// pixels and divided by 255, as in training. Throws lutra::Error.
InputData ReadInput(const std::filesystem::path& path, const ValueInfo& value);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_CLI_INPUT_DATA_H_
