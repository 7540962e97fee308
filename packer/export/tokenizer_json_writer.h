#ifndef LUTRA_PACKER_EXPORT_TOKENIZER_JSON_WRITER_H_
#define LUTRA_PACKER_EXPORT_TOKENIZER_JSON_WRITER_H_

#include <string>
#include <vector>

#include "lutra/runtime/tokenizer_data.h"

namespace lutra::packer {

struct WrittenTokenizer {
  std::string json;                 // tokenizer.json
  std::vector<std::string> pieces;  // of each id, as that file spells it
};

// Reading it back has given the same tokenizer. Throws Error, naming `file`,
// for what tokenizer.json cannot say.
WrittenTokenizer WriteTokenizerJson(const TokenizerData& data,
                                    const std::string& file);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_EXPORT_TOKENIZER_JSON_WRITER_H_
