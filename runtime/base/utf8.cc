#include "runtime/base/utf8.h"

#include <cstdint>

namespace lutra {
namespace {

uint8_t ByteAt(std::string_view text, size_t i) {
  return static_cast<uint8_t>(text[i]);
}

}  // namespace

Utf8Prefix ReadUtf8(std::string_view text) {
  const uint8_t first = ByteAt(text, 0);
  if (first < 0x80) return {Utf8::kComplete, 1};
  if (first < 0xC2 || first > 0xF4) return {Utf8::kInvalid, 1};
  const size_t bytes = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  // The second byte's range is narrower after these first ones.
  const uint8_t low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  const uint8_t high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
  for (size_t i = 1; i < bytes; ++i) {
    if (i == text.size()) return {Utf8::kIncomplete, i};
    const uint8_t byte = ByteAt(text, i);
    if (byte < (i == 1 ? low : 0x80) || byte > (i == 1 ? high : 0xBF)) {
      return {Utf8::kInvalid, i};
    }
  }
  return {Utf8::kComplete, bytes};
}

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const Utf8Prefix prefix = ReadUtf8(text);
    if (prefix.state != Utf8::kComplete) return false;
    text.remove_prefix(prefix.bytes);
  }
  return true;
}

std::string ReplaceInvalidUtf8(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const Utf8Prefix prefix = ReadUtf8(text);
    result += prefix.state == Utf8::kComplete ? text.substr(0, prefix.bytes)
                                              : kReplacementCharacter;
    text.remove_prefix(prefix.bytes);
  }
  return result;
}

char32_t DecodeUtf8(std::string_view text) {
  const uint8_t first = ByteAt(text, 0);
  if (first < 0x80) return first;
  const size_t bytes = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  char32_t code_point = first & (0x7Fu >> bytes);
  for (size_t i = 1; i < bytes; ++i) {
    code_point = code_point << 6 | (ByteAt(text, i) & 0x3Fu);
  }
  return code_point;
}

void AppendUtf8(char32_t code_point, std::string& text) {
  const auto put = [&text](char32_t byte) {
    text += static_cast<char>(static_cast<uint8_t>(byte));
  };
  const auto put_tail = [&](int shift) {
    put(0x80 | ((code_point >> shift) & 0x3F));
  };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xC0 | code_point >> 6);
    put_tail(0);
  } else if (code_point < 0x10000) {
    put(0xE0 | code_point >> 12);
    put_tail(6);
    put_tail(0);
  } else {
    put(0xF0 | code_point >> 18);
    put_tail(12);
    put_tail(6);
    put_tail(0);
  }
}

}  // namespace lutra
