#ifndef LUTRA_PACKER_IMPORT_TOKENIZERS_TOKENIZER_JSON_H_
#define LUTRA_PACKER_IMPORT_TOKENIZERS_TOKENIZER_JSON_H_

#include <string_view>

#include "lutra/runtime/tokenizer_data.h"
#include "runtime/base/json.h"

namespace lutra::packer {

// The content of a tokenizer.json. Throws Error naming `file`.
TokenizerData ReadTokenizer(const nlohmann::json& root, std::string_view file);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_TOKENIZERS_TOKENIZER_JSON_H_
