#include "runtime/text/word_piece.h"

#include <algorithm>
#include <string>

#include "runtime/base/utf8.h"

namespace lutra {

WordPieceEncoder::WordPieceEncoder(const TokenizerData& data) : data_(data) {
  for (const uint32_t id : data.lookup) {
    longest_ = std::max(longest_, data.Piece(id).size());
  }
}

void WordPieceEncoder::Encode(std::string_view word,
                              std::vector<int32_t>& ids) const {
  const TokenizerRecipe& recipe = data_.recipe;
  const size_t before = ids.size();
  const auto is_start = [](char c) {
    return (static_cast<uint8_t>(c) & 0xC0u) != 0x80;
  };
  const auto characters = std::count_if(word.begin(), word.end(), is_start);
  bool fits = characters <= recipe.max_word;
  std::string piece;
  for (std::string_view rest = word; fits && !rest.empty();) {
    piece = rest.size() == word.size() ? "" : recipe.continuation;
    const size_t mark = piece.size();
    size_t length = std::min(rest.size(), longest_);
    int64_t id = -1;
    for (; length > 0 && id < 0; --length) {
      if (length < rest.size() && !is_start(rest[length])) continue;
      piece.resize(mark);
      piece += rest.substr(0, length);
      id = data_.Find(piece);
    }
    fits = id >= 0;
    if (!fits) break;
    ids.push_back(static_cast<int32_t>(id));
    rest.remove_prefix(piece.size() - mark);
  }
  if (fits) return;
  ids.resize(before);
  if (recipe.unknown >= 0) ids.push_back(recipe.unknown);
}

}  // namespace lutra
