#include "runtime/base/text_of.h"

#include <cstdarg>

namespace lutra {

std::string JoinText(uint64_t parts, ...) {
  std::string text;
  std::va_list arguments;
  va_start(arguments, parts);
  // What is thrown here is for missing memory alone; no system's va_end frees
  // any.
  for (; parts != 0; parts >>= kTextPartBits) {
    switch (static_cast<TextPart>(parts & ((1 << kTextPartBits) - 1))) {
      case TextPart::kEnd:
        break;
      case TextPart::kWords:
        text += va_arg(arguments, const char*);
        break;
      case TextPart::kString:
        text += *va_arg(arguments, const std::string*);
        break;
      case TextPart::kView:
        text += *va_arg(arguments, const std::string_view*);
        break;
      case TextPart::kCount:
        text += std::to_string(va_arg(arguments, uint64_t));
        break;
      case TextPart::kNumber:
        text += std::to_string(va_arg(arguments, int64_t));
        break;
    }
  }
  va_end(arguments);
  return text;
}

}  // namespace lutra
