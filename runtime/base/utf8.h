#ifndef LUTRA_RUNTIME_BASE_UTF8_H_
#define LUTRA_RUNTIME_BASE_UTF8_H_

#include <cstddef>
#include <string>
#include <string_view>

// UTF-8 as the Unicode standard defines it (table 3-7: no overlong forms, no
// surrogates, nothing above U+10FFFF).

namespace lutra {

// U+FFFD, what stands for bytes that are not UTF-8.
inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";

enum class Utf8 { kComplete, kIncomplete, kInvalid };

struct Utf8Prefix {
  Utf8 state = Utf8::kInvalid;
  // Bytes of the character; of its first bytes if it is incomplete; if it is
  // invalid, of the part to be replaced (at least 1).
  size_t bytes = 0;
};

// Looks at the first character of `text`, which is not empty.
Utf8Prefix ReadUtf8(std::string_view text);

bool IsUtf8(std::string_view text);

// Every maximal part that is not UTF-8 becomes one U+FFFD (the standard's
// recommended practice, section 3.9).
std::string ReplaceInvalidUtf8(std::string_view text);

// The code point of the complete character `text` starts with.
char32_t DecodeUtf8(std::string_view text);
void AppendUtf8(char32_t code_point, std::string& text);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_BASE_UTF8_H_
