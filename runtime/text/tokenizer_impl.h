#ifndef LUTRA_RUNTIME_TEXT_TOKENIZER_IMPL_H_
#define LUTRA_RUNTIME_TEXT_TOKENIZER_IMPL_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/runtime/tokenizer.h"
#include "lutra/runtime/tokenizer_data.h"
#include "runtime/text/added_tokens.h"
#include "runtime/text/bpe.h"
#include "runtime/text/text_steps.h"
#include "runtime/text/unigram.h"
#include "runtime/text/word_piece.h"

namespace lutra {

class Tokenizer::Impl {
 public:
  Impl(TokenizerData from, std::string_view file);

  // Throws Error if there is no such token.
  void CheckId(int32_t id) const;
  // Appends the ids of `text`, without special tokens around it.
  void Encode(std::string_view text, std::vector<int32_t>& ids) const;
  // What the token stands for. `at_start`: whether none was decoded before it;
  // false afterwards, unless the token is left out. Throws Error as CheckId.
  std::string Bytes(int32_t id, bool with_special, bool& at_start) const;
  // Whether it stands for one byte of a character without a piece.
  bool IsByte(int32_t id) const;

  const TokenizerData data;

 private:
  void EncodePart(std::string_view part, BytePairEncoder::Workspace& workspace,
                  std::vector<int32_t>& ids) const;

  std::string file_;
  AddedTokens raw_added_;
  AddedTokens normalized_added_;
  TextSteps normalizer_;
  TextSteps splitter_;
  // By the recipe's model one of these.
  BytePairEncoder merges_;
  UnigramEncoder unigram_;
  WordPieceEncoder word_piece_;
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_TEXT_TOKENIZER_IMPL_H_
