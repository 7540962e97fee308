#ifndef LUTRA_RUNTIME_CHAT_CHARACTERS_H_
#define LUTRA_RUNTIME_CHAT_CHARACTERS_H_

#include <string>
#include <string_view>

// What Python's str says and does about characters. ASCII needs no tables; a
// build without utf8proc throws Error for the rest.

namespace lutra::chat {

// What strip() and split() take for white space, and the \s of `re`.
constexpr bool IsSpace(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 ||
         c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}
// Where splitlines() splits.
constexpr bool IsLineEnd(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 ||
         c == 0x2028 || c == 0x2029;
}
bool IsAlpha(char32_t c);
bool IsDecimal(char32_t c);
bool IsDigit(char32_t c);
bool IsNumeric(char32_t c);
bool IsPrintableCharacter(char32_t c);
bool IsLowerCase(char32_t c);
bool IsUpperCase(char32_t c);
bool IsTitleCase(char32_t c);
bool IsCased(char32_t c);
// The \w of `re`.
bool IsWord(char32_t c);
// Of names in a template.
bool BeginsName(char32_t c);
bool ContinuesName(char32_t c);

// Python's str.upper(), lower(), casefold(): a character may become several.
std::string Upper(std::string_view text);
std::string Lower(std::string_view text);
std::string Fold(std::string_view text);
// The first character in title case, the rest in lower case.
std::string Capitalize(std::string_view text);
std::string Title(std::string_view text);
std::string SwapCase(std::string_view text);

// Views of `text` without white space, or characters of `set`, at its ends.
std::string_view StripLeft(std::string_view text);
std::string_view StripRight(std::string_view text);
std::string_view StripLeft(std::string_view text, std::string_view set);
std::string_view StripRight(std::string_view text, std::string_view set);

// Calls each(code point, its bytes); stops where that gives false.
template <class Each>
void ForEachCharacter(std::string_view text, const Each& each);

}  // namespace lutra::chat

#include "runtime/base/utf8.h"

namespace lutra::chat {

template <class Each>
void ForEachCharacter(std::string_view text, const Each& each) {
  while (!text.empty()) {
    const size_t bytes = ReadUtf8(text).bytes;
    if (!each(DecodeUtf8(text), text.substr(0, bytes))) return;
    text.remove_prefix(bytes);
  }
}

}  // namespace lutra::chat

#endif  // LUTRA_RUNTIME_CHAT_CHARACTERS_H_
