#include "lutra/runtime/error.h"

#include <cstdio>

namespace lutra {
namespace {

// Names come from files: whatever they hold, a message stays one line of
// bounded length.
constexpr size_t kMaxPrintedBytes = 1000;

std::string Printable(std::string_view text) {
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

}  // namespace

Error Error::InFile(std::string_view file, std::string_view cause,
                    ErrorCode code) {
  return Error(code, Printable(file) + ": " + Printable(cause));
}

Error Error::InTensor(std::string_view file, std::string_view tensor,
                      std::string_view cause, ErrorCode code) {
  return Error(code, Printable(file) + ": tensor '" + Printable(tensor) +
                         "': " + Printable(cause));
}

}  // namespace lutra
