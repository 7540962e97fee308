#ifndef LUTRA_RUNTIME_TEXT_UNIGRAM_H_
#define LUTRA_RUNTIME_TEXT_UNIGRAM_H_

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "lutra/runtime/tokenizer_data.h"

namespace lutra {

// The pieces whose scores have the largest sum (Kudo, "Subword Regularization",
// 2018), found by dynamic programming. A character that is no piece costs 10
// more than the worst piece. Refers to the data, which outlives it. Immutable;
// may be used from several threads.
class UnigramEncoder {
 public:
  explicit UnigramEncoder(const TokenizerData& data);

  // Appends the ids of `part` (UTF-8).
  void Encode(std::string_view part, std::vector<int32_t>& ids) const;

 private:
  // The best way to the end of a piece.
  struct Node {
    double score = 0;
    size_t begin = 0;  // of the piece
    int32_t id = -1;   // -1: unknown
    bool reached = false;
  };

  // The piece of a byte that the text begins with the spelling of; -1: none.
  int64_t SpelledByte(std::string_view text) const;
  void AddUnknown(std::string_view text, std::vector<int32_t>& ids) const;

  const TokenizerData& data_;
  double unknown_score_ = 0;
  std::array<int64_t, 256> fallback_ = {};  // pieces of bytes; -1: none
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_TEXT_UNIGRAM_H_
