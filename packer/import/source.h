#ifndef LUTRA_PACKER_IMPORT_SOURCE_H_
#define LUTRA_PACKER_IMPORT_SOURCE_H_

#include <filesystem>

#include "packer/import/checkpoint.h"

namespace lutra::packer {

// The weights of a Hugging Face folder or a GGUF file under their own names,
// whether or not the network is known. Throws Error.
Checkpoint OpenCheckpoint(const std::filesystem::path& source);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_SOURCE_H_
