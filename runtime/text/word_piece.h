#ifndef LUTRA_RUNTIME_TEXT_WORD_PIECE_H_
#define LUTRA_RUNTIME_TEXT_WORD_PIECE_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "lutra/runtime/tokenizer_data.h"

namespace lutra {

// Words as the longest pieces from left to right (Wu et al., "Google's Neural
// Machine Translation System", 2016); those after the first begin with a mark.
// Refers to the data, which outlives it. Immutable; may be used from several
// threads.
class WordPieceEncoder {
 public:
  explicit WordPieceEncoder(const TokenizerData& data);

  // Appends the ids of `word` (UTF-8), or the unknown one if it is not made of
  // pieces or too long.
  void Encode(std::string_view word, std::vector<int32_t>& ids) const;

 private:
  const TokenizerData& data_;
  size_t longest_ = 0;  // piece, in bytes
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_TEXT_WORD_PIECE_H_
