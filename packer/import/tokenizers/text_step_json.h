#ifndef LUTRA_PACKER_IMPORT_TOKENIZERS_TEXT_STEP_JSON_H_
#define LUTRA_PACKER_IMPORT_TOKENIZERS_TEXT_STEP_JSON_H_

#include <string>
#include <vector>

#include "lutra/runtime/tokenizer_data.h"
#include "runtime/base/json_object.h"

// The parts of tokenizer.json that prepare text and put it together again. What
// is not supported is refused by name, with Error.

namespace lutra::packer {

std::vector<TextStep> ReadNormalizer(const JsonObject& normalizer);

struct PreTokenizer {
  std::vector<TextStep> steps;
  bool bytes = false;  // ends in the step that turns text to bytes
};
PreTokenizer ReadPreTokenizer(const JsonObject& pre_tokenizer);

struct TextDecoder {
  bool bytes = false;
  std::string space;         // what stands for a space; empty if itself
  bool strip_space = false;  // one space at the start is dropped
  bool strip_piece = false;  // all spaces of the first piece are dropped
  std::string continuation;  // WordPiece: what begins the pieces within words
  bool clean_up = false;     // WordPiece: no spaces in front of punctuation
};
TextDecoder ReadDecoder(const JsonObject& decoder);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_TOKENIZERS_TEXT_STEP_JSON_H_
