#include "runtime/chat/string_literal.h"

#include "runtime/base/utf8.h"
#include "runtime/chat/lexer.h"

namespace lutra::chat {
namespace {

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Of exactly so many hexadecimal digits.
char32_t Hexadecimal(std::string_view digits, size_t count, size_t line) {
  if (digits.size() < count) FailParse(line, "truncated escape in a string");
  char32_t value = 0;
  for (const char c : digits.substr(0, count)) {
    const int digit = HexValue(c);
    if (digit < 0) FailParse(line, "truncated escape in a string");
    value = value * 16 + static_cast<char32_t>(digit);
  }
  if (value > 0x10FFFF) FailParse(line, "illegal Unicode character");
  if (value >= 0xD800 && value <= 0xDFFF) {
    FailParse(line, "surrogates in strings are not supported");
  }
  return value;
}

// An escape behind its backslash; returns how long it is.
size_t AppendEscape(std::string_view rest, size_t line, std::string& text) {
  const char c = rest[0];
  static constexpr std::string_view kPlain = "\\'\"abfnrtv";
  static constexpr std::string_view kMeaning = "\\'\"\a\b\f\n\r\t\v";
  const size_t known = kPlain.find(c);
  if (known != std::string_view::npos) {
    text += kMeaning[known];
    return 1;
  }
  if (c == '\n') return 1;
  const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
  if (digits > 0) {
    AppendUtf8(Hexadecimal(rest.substr(1), digits, line), text);
    return 1 + digits;
  }
  if (c >= '0' && c <= '7') {
    size_t count = 0;
    char32_t value = 0;
    while (count < 3 && count < rest.size() && rest[count] >= '0' &&
           rest[count] <= '7') {
      value = value * 8 + static_cast<char32_t>(rest[count++] - '0');
    }
    AppendUtf8(value, text);
    return count;
  }
  if (c == 'N') FailParse(line, "names of characters are not supported");
  text += '\\';
  return 0;
}

}  // namespace

std::string DecodeStringLiteral(std::string_view literal, size_t line) {
  std::string_view rest = literal.substr(1, literal.size() - 2);
  std::string text;
  while (!rest.empty()) {
    const char c = rest[0];
    rest.remove_prefix(1);
    if (c == '\\') {
      rest.remove_prefix(AppendEscape(rest, line, text));
    } else {
      text += c;
    }
  }
  return text;
}

}  // namespace lutra::chat
