#include <utf8proc.h>

#include <cstdlib>
#include <memory>
#include <new>

#include "runtime/text/unicode.h"

namespace lutra {
namespace {

struct FreeText {
  void operator()(utf8proc_uint8_t* text) const { std::free(text); }
};

bool IsAscii(char c) { return (static_cast<unsigned char>(c) & 0x80u) == 0; }

// Of text that begins and ends where characters do not act on each other.
std::string NormalizeAll(std::string_view text, NormalForm form) {
  const bool composed = form == NormalForm::kC || form == NormalForm::kKC;
  const bool compatible = form == NormalForm::kKC || form == NormalForm::kKD;
  const unsigned options =
      static_cast<unsigned>(UTF8PROC_STABLE) |
      static_cast<unsigned>(composed ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE) |
      (compatible ? static_cast<unsigned>(UTF8PROC_COMPAT) : 0u);
  utf8proc_uint8_t* raw = nullptr;
  const utf8proc_ssize_t bytes =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &raw,
                   static_cast<utf8proc_option_t>(options));
  const std::unique_ptr<utf8proc_uint8_t, FreeText> result(raw);
  // The text is UTF-8, so nothing else can go wrong.
  if (bytes < 0) throw std::bad_alloc();
  return {reinterpret_cast<const char*>(raw), static_cast<size_t>(bytes)};
}

}  // namespace

void CheckUnicodeSupport(std::string_view) {}

// Most of a text is ASCII, which stays as it is, but for a character in front
// of others: these may be marks of it.
std::string Normalize(std::string_view text, NormalForm form) {
  std::string result;
  for (size_t at = 0; at < text.size();) {
    size_t begin = at;
    while (begin < text.size() && IsAscii(text[begin])) ++begin;
    size_t end = begin;
    while (end < text.size() && !IsAscii(text[end])) ++end;
    if (begin > at && end > begin) --begin;
    result += text.substr(at, begin - at);
    if (end > begin) {
      result += NormalizeAll(text.substr(begin, end - begin), form);
    }
    at = end;
  }
  return result;
}

char32_t ToLower(char32_t c) {
  return static_cast<char32_t>(
      utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
}

char32_t ToUpper(char32_t c) {
  return static_cast<char32_t>(
      utf8proc_toupper(static_cast<utf8proc_int32_t>(c)));
}

char32_t ToTitle(char32_t c) {
  return static_cast<char32_t>(
      utf8proc_totitle(static_cast<utf8proc_int32_t>(c)));
}

std::u32string FoldCase(char32_t c) {
  utf8proc_int32_t folded[8] = {};
  int last_class = UTF8PROC_BOUNDCLASS_START;
  const utf8proc_ssize_t count =
      utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), folded, 8,
                              UTF8PROC_CASEFOLD, &last_class);
  std::u32string result;
  for (utf8proc_ssize_t i = 0; i < count && i < 8; ++i) {
    result += static_cast<char32_t>(folded[i]);
  }
  return result;
}

Category CategoryOf(char32_t c) {
  static_assert(static_cast<int>(Category::kCn) == UTF8PROC_CATEGORY_CN);
  static_assert(static_cast<int>(Category::kNd) == UTF8PROC_CATEGORY_ND);
  static_assert(static_cast<int>(Category::kPo) == UTF8PROC_CATEGORY_PO);
  static_assert(static_cast<int>(Category::kZs) == UTF8PROC_CATEGORY_ZS);
  static_assert(static_cast<int>(Category::kCo) == UTF8PROC_CATEGORY_CO);
  return static_cast<Category>(
      utf8proc_category(static_cast<utf8proc_int32_t>(c)));
}

bool IsNonspacingMark(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c)) ==
         UTF8PROC_CATEGORY_MN;
}

bool IsControl(char32_t c) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CS:
      return true;
    default:
      return false;
  }
}

bool IsWordCharacter(char32_t c) {
  // Alphabetic without being letters: circled and squared ones.
  if ((c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
      (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189)) {
    return true;
  }
  if (c == 0x200C || c == 0x200D) return true;  // the joiners
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return false;
  }
}

}  // namespace lutra
