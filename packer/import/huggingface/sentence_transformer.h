#ifndef LUTRA_PACKER_IMPORT_HUGGINGFACE_SENTENCE_TRANSFORMER_H_
#define LUTRA_PACKER_IMPORT_HUGGINGFACE_SENTENCE_TRANSFORMER_H_

#include <filesystem>
#include <optional>

#include "packer/architectures/encoder.h"
#include "packer/import/checkpoint.h"

namespace lutra::packer {

// What modules.json of a folder of sentence-transformers says of the vector of
// a text; the tensors of its dense layers are added to the checkpoint. Nothing
// if there is none. Throws Error for modules that are not supported, by name.
std::optional<EncoderHead> ReadSentenceTransformer(
    const std::filesystem::path& folder, Checkpoint& checkpoint);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_HUGGINGFACE_SENTENCE_TRANSFORMER_H_
