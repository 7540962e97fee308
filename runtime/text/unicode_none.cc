// Builds without utf8proc. What CheckUnicodeSupport refuses is never called.

#include "lutra/runtime/error.h"
#include "runtime/text/unicode.h"

namespace lutra {

void CheckUnicodeSupport(std::string_view file) {
  throw Error::InFile(file,
                      "needs Unicode tables, which this build of "
                      "lutra lacks (utf8proc)",
                      ErrorCode::kUnsupported);
}

std::string Normalize(std::string_view text, NormalForm) {
  return std::string(text);
}
char32_t ToLower(char32_t c) { return c; }
char32_t ToUpper(char32_t c) { return c; }
char32_t ToTitle(char32_t c) { return c; }
std::u32string FoldCase(char32_t c) { return {c}; }
Category CategoryOf(char32_t) { return Category::kCn; }
bool IsNonspacingMark(char32_t) { return false; }
bool IsControl(char32_t) { return false; }
bool IsWordCharacter(char32_t) { return false; }

}  // namespace lutra
