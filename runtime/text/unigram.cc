#include "runtime/text/unigram.h"

#include <algorithm>

#include "runtime/base/utf8.h"

namespace lutra {

namespace {

constexpr size_t kSpelledByte = 6;  // characters of "<0x0A>"

}  // namespace

UnigramEncoder::UnigramEncoder(const TokenizerData& data) : data_(data) {
  constexpr double kPenalty = 10;
  if (!data.scores.empty()) {
    unknown_score_ =
        *std::min_element(data.scores.begin(), data.scores.end()) - kPenalty;
  }
  fallback_.fill(-1);
  for (size_t id = 0; id < data.size(); ++id) {
    if (data.types[id] != PieceType::kByte) continue;
    fallback_[static_cast<uint8_t>(data.Piece(id).front())] =
        static_cast<int64_t>(id);
  }
}

void UnigramEncoder::Encode(std::string_view part,
                            std::vector<int32_t>& ids) const {
  std::vector<Node> nodes(part.size() + 1);
  const auto reach = [&](size_t end, double score, size_t begin, int32_t id) {
    Node& node = nodes[end];
    if (node.reached && !(score > node.score)) return;
    node = {score, begin, id, true};
  };
  const auto piece_of = [this](uint32_t id) { return data_.Piece(id); };
  for (size_t begin = 0; begin < part.size();) {
    const size_t character = ReadUtf8(part.substr(begin)).bytes;
    const double here = nodes[begin].score;
    bool has_character = false;
    // Pieces in order that share the first `length` bytes with the text.
    auto first = data_.lookup.begin();
    auto last = data_.lookup.end();
    for (size_t length = 1; begin + length <= part.size(); ++length) {
      const auto byte = static_cast<uint8_t>(part[begin + length - 1]);
      const auto at = [&](uint32_t id) {
        const std::string_view piece = piece_of(id);
        return piece.size() < length
                   ? -1
                   : static_cast<int>(static_cast<uint8_t>(piece[length - 1]));
      };
      first = std::lower_bound(first, last, byte, [&](uint32_t id, uint8_t b) {
        return at(id) < b;
      });
      last = std::upper_bound(first, last, byte, [&](uint8_t b, uint32_t id) {
        return b < at(id);
      });
      if (first == last) break;
      if (piece_of(*first).size() != length) continue;
      const auto id = static_cast<int32_t>(*first);
      reach(begin + length, data_.scores[*first] + here, begin, id);
      has_character |= length == character;
    }
    // Pieces of bytes are found by their spelling, too.
    if (const int64_t id = SpelledByte(part.substr(begin)); id >= 0) {
      reach(begin + kSpelledByte, data_.scores[static_cast<size_t>(id)] + here,
            begin, static_cast<int32_t>(id));
    }
    if (!has_character) {
      reach(begin + character, unknown_score_ + here, begin, -1);
    }
    begin += character;
  }
  // Backwards along the best way; unknown characters in a row are one.
  std::vector<Node> way;
  for (size_t end = part.size(); end > 0; end = way.back().begin) {
    way.push_back(nodes[end]);
  }
  for (size_t i = way.size(); i > 0;) {
    const Node& node = way[--i];
    if (node.id >= 0) {
      ids.push_back(node.id);
      continue;
    }
    while (i > 0 && way[i - 1].id < 0) --i;
    const size_t end = i > 0 ? way[i - 1].begin : part.size();
    AddUnknown(part.substr(node.begin, end - node.begin), ids);
  }
}

int64_t UnigramEncoder::SpelledByte(std::string_view text) const {
  if (!data_.recipe.byte_fallback || text.size() < kSpelledByte ||
      !text.starts_with("<0x") || text[kSpelledByte - 1] != '>') {
    return -1;
  }
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  const size_t high = kDigits.find(text[3]);
  const size_t low = kDigits.find(text[4]);
  if (high == std::string_view::npos || low == std::string_view::npos) {
    return -1;
  }
  return fallback_[16 * high + low];
}

void UnigramEncoder::AddUnknown(std::string_view text,
                                std::vector<int32_t>& ids) const {
  const TokenizerRecipe& recipe = data_.recipe;
  const auto piece = [this](char c) {
    return fallback_[static_cast<uint8_t>(c)];
  };
  if (recipe.byte_fallback &&
      std::all_of(text.begin(), text.end(),
                  [&](char c) { return piece(c) >= 0; })) {
    for (const char c : text) ids.push_back(static_cast<int32_t>(piece(c)));
  } else if (recipe.unknown >= 0) {
    ids.push_back(recipe.unknown);
  }
}

}  // namespace lutra
