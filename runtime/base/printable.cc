#include "runtime/base/printable.h"

#include <cstdio>

namespace lutra {

std::string Printable(std::string_view text) {
  constexpr size_t kMaxPrintedBytes = 1000;
  std::string result;
  for (const char c : text) {
    if (result.size() >= kMaxPrintedBytes) {
      result += "...";
      break;
    }
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      result += c;
    } else {
      char escaped[8];
      std::snprintf(escaped, sizeof(escaped), "\\x%02x", unsigned{byte});
      result += escaped;
    }
  }
  return result;
}

}  // namespace lutra
