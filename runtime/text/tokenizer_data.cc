#include "lutra/runtime/tokenizer_data.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "runtime/base/utf8.h"

namespace lutra {

void TokenizerData::AddPiece(std::string_view piece, PieceType type) {
  text += piece;
  ends.push_back(static_cast<uint32_t>(text.size()));
  types.push_back(type);
}

int64_t TokenizerData::Find(std::string_view piece) const {
  const auto found = std::lower_bound(
      lookup.begin(), lookup.end(), piece,
      [this](uint32_t id, std::string_view p) { return Piece(id) < p; });
  if (found == lookup.end() || Piece(*found) != piece) return -1;
  return *found;
}

void MakeLookup(std::vector<uint32_t> ids, TokenizerData& data) {
  std::stable_sort(ids.begin(), ids.end(), [&data](uint32_t a, uint32_t b) {
    return data.Piece(a) < data.Piece(b);
  });
  ids.erase(std::unique(ids.begin(), ids.end(),
                        [&data](uint32_t a, uint32_t b) {
                          return data.Piece(a) == data.Piece(b);
                        }),
            ids.end());
  data.lookup = std::move(ids);
}

void SortMerges(std::vector<Merge>& merges) {
  const auto pair = [](const Merge& m) { return std::pair(m.left, m.right); };
  // Backwards, so that the last of equal pairs comes first and stays.
  std::reverse(merges.begin(), merges.end());
  std::stable_sort(
      merges.begin(), merges.end(),
      [&](const Merge& a, const Merge& b) { return pair(a) < pair(b); });
  merges.erase(std::unique(merges.begin(), merges.end(),
                           [&](const Merge& a, const Merge& b) {
                             return pair(a) == pair(b);
                           }),
               merges.end());
}

void AddMergesByScore(Span<const float> scores, TokenizerData& data) {
  // Pieces of equal score share a rank: the leftmost goes first then.
  std::vector<uint32_t> order;
  for (const uint32_t id : data.lookup) {
    if (data.types[id] == PieceType::kNormal) order.push_back(id);
  }
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return std::pair(-scores[a], a) < std::pair(-scores[b], b);
  });
  uint32_t rank = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    const uint32_t id = order[i];
    if (i > 0 && scores[id] != scores[order[i - 1]]) ++rank;
    const std::string_view piece = data.Piece(id);
    for (size_t cut = 0; cut < piece.size();) {
      cut += data.recipe.bytes ? 1 : ReadUtf8(piece.substr(cut)).bytes;
      if (cut == piece.size()) break;
      const int64_t left = data.Find(piece.substr(0, cut));
      const int64_t right = data.Find(piece.substr(cut));
      if (left < 0 || right < 0) continue;
      data.merges.push_back({static_cast<uint32_t>(left),
                             static_cast<uint32_t>(right), rank, id});
    }
  }
  SortMerges(data.merges);
}

}  // namespace lutra
