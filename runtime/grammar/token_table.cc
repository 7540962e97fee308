#include "runtime/grammar/token_table.h"

#include <algorithm>

namespace lutra::grammar {

TokenTable::TokenTable(const Tokenizer& tokenizer, size_t vocabulary,
                       Span<const int32_t> ends, bool starts) {
  const size_t count = std::min(vocabulary, tokenizer.size());
  for (size_t i = 0; i < count; ++i) {
    const auto id = static_cast<int32_t>(i);
    if (tokenizer.IsUnused(id) || tokenizer.IsEnd(id) ||
        std::find(ends.begin(), ends.end(), id) != ends.end()) {
      continue;
    }
    const std::string text = tokenizer.TokenBytes(id, starts);
    if (text.empty()) continue;
    tokens_.push_back({id, static_cast<uint32_t>(bytes_.size()),
                       static_cast<uint32_t>(text.size()), 0});
    longest_ = std::max(longest_, text.size());
    bytes_ += text;
  }
  std::sort(tokens_.begin(), tokens_.end(),
            [this](const Token& a, const Token& b) {
              const int order = Bytes(a).compare(Bytes(b));
              return order != 0 ? order < 0 : a.id < b.id;
            });
  of_id_.assign(count, static_cast<uint32_t>(tokens_.size()));
  std::string_view before;
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const std::string_view text = Bytes(tokens_[i]);
    const auto [mine, theirs] =
        std::mismatch(text.begin(), text.end(), before.begin(), before.end());
    tokens_[i].shared = static_cast<uint32_t>(mine - text.begin());
    of_id_[static_cast<size_t>(tokens_[i].id)] = static_cast<uint32_t>(i);
    before = text;
  }
}

std::string_view TokenTable::BytesOf(int32_t id) const {
  if (id < 0 || static_cast<size_t>(id) >= of_id_.size()) return {};
  const uint32_t at = of_id_[static_cast<size_t>(id)];
  return at == tokens_.size() ? std::string_view() : Bytes(tokens_[at]);
}

void TokenTable::Allow(Automaton& automaton, Automaton::State state,
                       std::vector<uint32_t>& mask) const {
  // The states behind the first bytes of the last token that was looked at,
  // and how many of its bytes could be read.
  std::vector<Automaton::State> path(longest_ + 1);
  path[0] = state;
  size_t read = 0;
  for (const Token& token : tokens_) {
    // It begins with what could not be read.
    if (token.shared > read) continue;
    const std::string_view text = Bytes(token);
    for (read = token.shared; read < text.size(); ++read) {
      path[read + 1] =
          automaton.Next(path[read], static_cast<uint8_t>(text[read]));
      if (path[read + 1] == Automaton::kDead) break;
    }
    if (read < text.size()) continue;
    const auto id = static_cast<size_t>(token.id);
    mask[id / 32] |= uint32_t{1} << (id % 32);
  }
}

}  // namespace lutra::grammar
