#include "runtime/grammar/gbnf_text.h"

#include <cstdint>

namespace lutra::grammar {
namespace {

std::string Hexadecimal(char32_t value, size_t digits) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text(digits, '0');
  for (size_t i = digits; i-- > 0; value >>= 4) text[i] = kDigits[value & 15];
  return text;
}

std::string InClass(char32_t c) {
  if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
      (c >= 'A' && c <= 'Z')) {
    return std::string(1, static_cast<char>(c));
  }
  if (c <= 0xFF) return "\\x" + Hexadecimal(c, 2);
  // Escapes are no surrogates; a range may begin or end with one.
  if (c == 0xD800) c = 0xE000;
  if (c == 0xDFFF) c = 0xD7FF;
  if (c <= 0xFFFF) return "\\u" + Hexadecimal(c, 4);
  return "\\U" + Hexadecimal(c, 8);
}

}  // namespace

std::string Quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      quoted += "\\x" + Hexadecimal(static_cast<unsigned char>(c), 2);
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

std::string Class(const std::vector<CodePoints>& ranges) {
  std::string text = "[";
  for (const auto& [first, last] : ranges) {
    text += InClass(first);
    if (last > first) {
      text += '-';
      text += InClass(last);
    }
  }
  text += ']';
  return text;
}

std::string OneOf(const std::vector<std::string>& alternatives) {
  if (alternatives.size() == 1) return alternatives[0];
  std::string text = "(";
  for (const std::string& each : alternatives) {
    if (text.size() > 1) text += " | ";
    text += each;
  }
  return text + ")";
}

std::string Times(size_t least, const size_t* most) {
  if (most == nullptr && least == 0) return "*";
  if (most == nullptr && least == 1) return "+";
  if (most != nullptr && least == 1 && *most == 1) return "";
  if (most != nullptr && least == 0 && *most == 1) return "?";
  std::string text = "{";
  text += std::to_string(least);
  if (most == nullptr || *most != least) text += ',';
  if (most != nullptr && *most != least) text += std::to_string(*most);
  text += '}';
  return text;
}

}  // namespace lutra::grammar
