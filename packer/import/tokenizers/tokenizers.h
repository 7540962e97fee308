#ifndef LUTRA_PACKER_IMPORT_TOKENIZERS_TOKENIZERS_H_
#define LUTRA_PACKER_IMPORT_TOKENIZERS_TOKENIZERS_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "lutra/runtime/tokenizer_data.h"

// Readers of foreign tokenizers. All throw Error naming the file; what lutra
// does not do as the original would is refused by name.

namespace lutra::packer {

// llama2.c's tokenizer.bin. The file does not say how many pieces it has.
TokenizerData ReadLlama2cTokenizer(const std::filesystem::path& path,
                                   size_t pieces);

// A BPE model of sentencepiece (tokenizer.model), by its own library. Throws
// where the build lacks it.
TokenizerData ReadSentencePieceTokenizer(const std::filesystem::path& path);

// tokenizer.json of Hugging Face's tokenizers library. Says nothing about BOS
// and the ends of texts.
TokenizerData ReadTokenizerJson(const std::filesystem::path& path);
// What such a file would hold; `file` is for messages.
TokenizerData ReadTokenizerJson(const nlohmann::json& root,
                                const std::string& file);

// vocab.json with merges.txt beside it, as GPT-2 has them, and the special
// tokens of a tokenizer_config.json there.
TokenizerData ReadVocabAndMerges(const std::filesystem::path& vocab);

// A file of tiktoken. How it splits texts follows from its size, and special
// tokens are those of a tokenizer_config.json beside it.
TokenizerData ReadTiktoken(const std::filesystem::path& path);
bool IsTiktoken(const std::filesystem::path& path);

// Any file of the kinds of Hugging Face folders, by its name.
TokenizerData ReadTokenizerFile(const std::filesystem::path& path);

// Ids of a model with `vocab` rows: missing pieces become unused ones. Throws
// Error if there is a token without a row.
void FitTokenizer(size_t vocab, std::string_view file, TokenizerData& data);

// The value of "<0x0A>".
std::optional<uint8_t> ParseBytePiece(std::string_view piece);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_TOKENIZERS_TOKENIZERS_H_
