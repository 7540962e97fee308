#ifndef LUTRA_RUNTIME_TEXT_ADDED_TOKENS_H_
#define LUTRA_RUNTIME_TEXT_ADDED_TOKENS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "lutra/runtime/tokenizer_data.h"

namespace lutra {

// Finds added tokens in text: at each place the longest one, from left to
// right. Immutable; may be used from several threads.
class AddedTokens {
 public:
  // Throws Error if the build cannot match them.
  AddedTokens(std::vector<AddedToken> tokens, std::string_view file);

  // Cuts `text` (UTF-8) into the tokens and what lies between them, and calls
  // `piece` with each part that is not empty, in order, and the token's id or
  // -1.
  void Cut(std::string_view text,
           const std::function<void(std::string_view, int32_t)>& piece) const;

 private:
  const AddedToken* LongestAt(std::string_view text) const;

  std::vector<AddedToken> tokens_;  // sorted by text
  // Whether a token starts with the byte.
  std::array<bool, 256> starts_ = {};
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_TEXT_ADDED_TOKENS_H_
