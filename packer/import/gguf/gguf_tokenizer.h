#ifndef LUTRA_PACKER_IMPORT_GGUF_GGUF_TOKENIZER_H_
#define LUTRA_PACKER_IMPORT_GGUF_GGUF_TOKENIZER_H_

#include <optional>

#include "lutra/runtime/tokenizer_data.h"
#include "packer/import/gguf/gguf_file.h"

namespace lutra::packer {

// The tokenizer in a file's metadata: sentencepiece's BPE ("llama"), and
// byte-level BPE ("gpt2") with the pre-tokenizers that llama.cpp has names for.
// nullopt if there is none. Throws Error for others, by name.
std::optional<TokenizerData> ReadGgufTokenizer(const GgufFile& file);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_GGUF_GGUF_TOKENIZER_H_
