#ifndef LUTRA_RUNTIME_TEXT_UNICODE_H_
#define LUTRA_RUNTIME_TEXT_UNICODE_H_

#include <string>
#include <string_view>

namespace lutra {

// Properties of characters and normalization, from utf8proc. A build without it
// throws Error, naming `file`, where a tokenizer or a chat template needs them.
void CheckUnicodeSupport(std::string_view file);

// The normalization forms of Unicode.
enum class NormalForm { kC, kD, kKC, kKD };
// Of UTF-8 text. Throws std::bad_alloc.
std::string Normalize(std::string_view text, NormalForm form);

// The character that is its lower, upper or title case, or itself.
char32_t ToLower(char32_t c);
char32_t ToUpper(char32_t c);
char32_t ToTitle(char32_t c);
// Its case folding in full, up to three characters.
std::u32string FoldCase(char32_t c);

// Unicode's general categories.
enum class Category {
  kCn,
  kLu,
  kLl,
  kLt,
  kLm,
  kLo,
  kMn,
  kMc,
  kMe,
  kNd,
  kNl,
  kNo,
  kPc,
  kPd,
  kPs,
  kPe,
  kPi,
  kPf,
  kPo,
  kSm,
  kSc,
  kSk,
  kSo,
  kZs,
  kZl,
  kZp,
  kCc,
  kCf,
  kCs,
  kCo,
};
Category CategoryOf(char32_t c);
// Of the category Mn.
bool IsNonspacingMark(char32_t c);
// Of the categories Cc, Cf, Co and Cs.
bool IsControl(char32_t c);

// The \w of Unicode (UTS #18, annex C): letters and what else is alphabetic,
// marks, digits, connecting punctuation and the two joiners.
bool IsWordCharacter(char32_t c);

// An ideograph of Chinese, as BERT's tokenizers have it.
constexpr bool IsIdeograph(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
         (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

// Unicode's White_Space.
constexpr bool IsWhiteSpace(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

}  // namespace lutra

#endif  // LUTRA_RUNTIME_TEXT_UNICODE_H_
