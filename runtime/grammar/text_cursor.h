#ifndef LUTRA_RUNTIME_GRAMMAR_TEXT_CURSOR_H_
#define LUTRA_RUNTIME_GRAMMAR_TEXT_CURSOR_H_

#include <cstddef>
#include <optional>
#include <string_view>

#include "runtime/base/utf8.h"

namespace lutra::grammar {

// A place in UTF-8 text that is read: what the parsers of notations have in
// common.
class TextCursor {
 public:
  explicit TextCursor(std::string_view text) : text_(text) {}

  std::string_view text() const { return text_; }
  size_t position() const { return at_; }
  void MoveTo(size_t position) { at_ = position; }
  std::string_view Rest() const { return text_.substr(at_); }

  bool AtEnd() const { return at_ == text_.size(); }
  char Peek() const { return AtEnd() ? '\0' : text_[at_]; }
  // The bytes of the character that comes; not at the end.
  std::string_view PeekCharacter() const {
    return Rest().substr(0, ReadUtf8(Rest()).bytes);
  }

  bool Take(std::string_view word) {
    if (!Rest().starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  // Not at the end.
  char32_t TakeCharacter() {
    const std::string_view rest = Rest();
    at_ += ReadUtf8(rest).bytes;
    return DecodeUtf8(rest);
  }
  // A whole number; nothing where there is none, and beyond `most`, which stops
  // in front of the digit that is too much.
  std::optional<size_t> TakeNumber(size_t most) {
    size_t value = 0;
    const size_t begin = at_;
    for (; Peek() >= '0' && Peek() <= '9'; ++at_) {
      const size_t next = 10 * value + static_cast<size_t>(Peek() - '0');
      if (next > most) return std::nullopt;
      value = next;
    }
    if (at_ == begin) return std::nullopt;
    return value;
  }
  // Exactly so many hexadecimal digits; nothing where one is missing, which is
  // then what comes.
  std::optional<char32_t> TakeHexadecimal(size_t digits) {
    char32_t value = 0;
    for (size_t i = 0; i < digits; ++i, ++at_) {
      const char c = Peek();
      if (c >= '0' && c <= '9') {
        value = value << 4 | static_cast<char32_t>(c - '0');
      } else if (const char lower = static_cast<char>(c | 0x20);
                 lower >= 'a' && lower <= 'f') {
        value = value << 4 | static_cast<char32_t>(lower - 'a' + 10);
      } else {
        return std::nullopt;
      }
    }
    return value;
  }

 private:
  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace lutra::grammar

#endif  // LUTRA_RUNTIME_GRAMMAR_TEXT_CURSOR_H_
