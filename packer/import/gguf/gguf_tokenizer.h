#ifndef LUTRA_PACKER_IMPORT_GGUF_GGUF_TOKENIZER_H_
#define LUTRA_PACKER_IMPORT_GGUF_GGUF_TOKENIZER_H_

#include <cstdint>
#include <optional>
#include <string>

#include "lutra/runtime/tokenizer_data.h"
#include "packer/import/gguf/gguf_file.h"

namespace lutra::packer {

// The tokenizer in a file's metadata: sentencepiece's BPE ("llama"), WordPiece
// ("bert"), and byte-level BPE ("gpt2") with the pre-tokenizers that llama.cpp
// has names for. nullopt if there is none. Throws Error for others, by name.
std::optional<TokenizerData> ReadGgufTokenizer(const GgufFile& file);

// llama.cpp's name for how a byte-level tokenizer cuts texts; nullopt if it has
// none.
std::optional<std::string> GgufPreTokenizer(const TokenizerRecipe& recipe);

// tokenizer.ggml.token_type.
enum class GgufTokenType : int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_GGUF_GGUF_TOKENIZER_H_
