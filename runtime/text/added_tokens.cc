#include "runtime/text/added_tokens.h"

#include <algorithm>
#include <utility>

#include "runtime/base/utf8.h"
#include "runtime/text/unicode.h"

namespace lutra {
namespace {

// The character that ends at `end`; 0 at the start of the text.
char32_t CharacterBefore(std::string_view text, size_t end, size_t& begin) {
  begin = end;
  if (end == 0) return 0;
  do {
    --begin;
  } while (begin > 0 && (static_cast<uint8_t>(text[begin]) & 0xC0u) == 0x80);
  return DecodeUtf8(text.substr(begin));
}

bool WordTouches(std::string_view text, size_t begin, size_t end) {
  size_t before = 0;
  const char32_t last = CharacterBefore(text, begin, before);
  return (begin > 0 && IsWordCharacter(last)) ||
         (end < text.size() && IsWordCharacter(DecodeUtf8(text.substr(end))));
}

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens, std::string_view file)
    : tokens_(std::move(tokens)) {
  std::stable_sort(
      tokens_.begin(), tokens_.end(),
      [](const AddedToken& a, const AddedToken& b) { return a.text < b.text; });
  for (const AddedToken& token : tokens_) {
    starts_[static_cast<uint8_t>(token.text.front())] = true;
    if (token.single_word) CheckUnicodeSupport(file);
  }
}

const AddedToken* AddedTokens::LongestAt(std::string_view text) const {
  const AddedToken* longest = nullptr;
  // Tokens that share the first `length` bytes with the text.
  auto begin = tokens_.begin();
  auto end = tokens_.end();
  for (size_t length = 1; length <= text.size(); ++length) {
    const auto prefix = [length](const AddedToken& token) {
      return std::string_view(token.text).substr(0, length);
    };
    const std::string_view sought = text.substr(0, length);
    begin = std::lower_bound(
        begin, end, sought,
        [&](const AddedToken& t, std::string_view s) { return prefix(t) < s; });
    end = std::upper_bound(
        begin, end, sought,
        [&](std::string_view s, const AddedToken& t) { return s < prefix(t); });
    if (begin == end) break;
    if (begin->text.size() == length) longest = &*begin;
  }
  return longest;
}

void AddedTokens::Cut(
    std::string_view text,
    const std::function<void(std::string_view, int32_t)>& piece) const {
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    if (!starts_[static_cast<uint8_t>(text[at])]) {
      ++at;
      continue;
    }
    const AddedToken* token = LongestAt(text.substr(at));
    if (token == nullptr) {
      ++at;
      continue;
    }
    size_t begin = at;
    size_t end = at + token->text.size();
    // The search goes on there, also in white space that the token takes along:
    // another token in it is found nevertheless, as in Hugging Face's library,
    // and what follows that one is text again.
    at = end;
    if (token->single_word && WordTouches(text, begin, end)) continue;
    if (token->strip_left) {
      size_t before = 0;
      while (begin > done &&
             IsWhiteSpace(CharacterBefore(text, begin, before))) {
        begin = before;
      }
    }
    if (token->strip_right) {
      while (end < text.size() && IsWhiteSpace(DecodeUtf8(text.substr(end)))) {
        end += ReadUtf8(text.substr(end)).bytes;
      }
    }
    if (begin > done) piece(text.substr(done, begin - done), -1);
    piece(text.substr(begin, end - begin), token->id);
    done = end;
  }
  if (done < text.size()) piece(text.substr(done), -1);
}

}  // namespace lutra
