#include "qat/spec/rule_text.h"

#include <algorithm>
#include <string>

#include "lutra/runtime/error.h"
#include "runtime/base/unknown_word.h"

namespace lutra::qat {

std::string_view ParseRule(
    std::string_view text, std::span<const std::string_view> keys,
    std::string_view form,
    const std::function<void(std::string_view, std::string_view)>& set) {
  const size_t equals = text.rfind('=');
  if (equals == std::string_view::npos || equals == 0) {
    throw Error("expected REGEX=" + std::string(form));
  }
  std::string_view rest = text.substr(equals + 1);
  while (true) {
    const size_t comma = rest.find(',');
    const std::string_view option = rest.substr(0, comma);
    const size_t colon = option.find(':');
    const std::string_view key = option.substr(0, colon);
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      throw Error(UnknownWord("key", key, keys));
    }
    if (colon == std::string_view::npos) {
      throw Error("'" + std::string(key) + "' has no value");
    }
    set(key, option.substr(colon + 1));
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  return text.substr(0, equals);
}

}  // namespace lutra::qat
