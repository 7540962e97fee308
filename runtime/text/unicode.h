#ifndef LUTRA_RUNTIME_TEXT_UNICODE_H_
#define LUTRA_RUNTIME_TEXT_UNICODE_H_

#include <string>
#include <string_view>

namespace lutra {

// Properties of characters and normalization, from utf8proc. A build without it
// throws Error, naming `file`, where a tokenizer needs them.
void CheckUnicodeSupport(std::string_view file);

// Unicode normalization form C of UTF-8 text. Throws std::bad_alloc.
std::string ToNfc(std::string_view text);

// The \w of Unicode (UTS #18, annex C): letters and what else is alphabetic,
// marks, digits, connecting punctuation and the two joiners.
bool IsWordCharacter(char32_t c);

// Unicode's White_Space.
constexpr bool IsWhiteSpace(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

}  // namespace lutra

#endif  // LUTRA_RUNTIME_TEXT_UNICODE_H_
