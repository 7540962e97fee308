#include "packer/import/tokenizers/tokenizers.h"

#include <algorithm>
#include <charconv>

#include "lutra/runtime/error.h"

namespace lutra::packer {

std::optional<uint8_t> ParseBytePiece(std::string_view piece) {
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece.back() != '>') {
    return std::nullopt;
  }
  const char* digits = piece.data() + 3;
  uint8_t value = 0;
  const auto [end, error] = std::from_chars(digits, digits + 2, value, 16);
  if (error != std::errc() || end != digits + 2) return std::nullopt;
  return value;
}

void FitTokenizer(size_t vocab, std::string_view file, TokenizerData& data) {
  const auto beyond = [vocab](auto id) {
    return id >= 0 && static_cast<size_t>(id) >= vocab;
  };
  TokenizerRecipe& recipe = data.recipe;
  std::erase_if(recipe.added,
                [&](const AddedToken& token) { return beyond(token.id); });
  for (auto* ids : {&recipe.before, &recipe.after, &recipe.ends}) {
    std::erase_if(*ids, beyond);
  }
  if (beyond(recipe.bos)) recipe.bos = -1;
  const auto used = [&](uint32_t id) {
    return beyond(static_cast<int64_t>(id));
  };
  const bool merged =
      std::any_of(data.merges.begin(), data.merges.end(),
                  [&](const Merge& m) { return used(m.result); });
  if (merged || beyond(recipe.unknown)) {
    throw Error::InFile(file, "has more pieces than the model's " +
                                  std::to_string(vocab) + " rows");
  }
  std::erase_if(data.lookup, used);
  while (data.size() > vocab) {
    data.ends.pop_back();
    data.types.pop_back();
    data.text.resize(data.ends.empty() ? 0 : data.ends.back());
  }
  while (data.size() < vocab) data.AddPiece("", PieceType::kUnused);
}

}  // namespace lutra::packer
