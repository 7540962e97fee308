#ifndef LUTRA_PACKER_EXPORT_GGUF_GGUF_VOCABULARY_H_
#define LUTRA_PACKER_EXPORT_GGUF_GGUF_VOCABULARY_H_

#include <string>
#include <vector>

#include "lutra/runtime/model.h"
#include "packer/export/gguf/gguf_writer.h"

namespace lutra::packer {

// Writes the model's tokenizer and chat templates, if it has any, into the
// metadata. `merges`: programs expect Gemma 4's kind, not sentencepiece's
// scores. What is lost without a change of what a text becomes is told in
// `notes`. Throws Error for tokenizers that GGUF files have no words for.
void WriteGgufTokenizer(const Model& model, bool merges, GgufWriter& writer,
                        std::vector<std::string>& notes);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_EXPORT_GGUF_GGUF_VOCABULARY_H_
