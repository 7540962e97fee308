// Builds without utf8proc. What CheckUnicodeSupport refuses is never called.

#include "lutra/runtime/error.h"
#include "runtime/text/unicode.h"

namespace lutra {

void CheckUnicodeSupport(std::string_view file) {
  throw Error::InFile(file,
                      "tokenizer: needs Unicode tables, which this build of "
                      "lutra lacks (utf8proc)",
                      ErrorCode::kUnsupported);
}

std::string ToNfc(std::string_view text) { return std::string(text); }

bool IsWordCharacter(char32_t) { return false; }

}  // namespace lutra
