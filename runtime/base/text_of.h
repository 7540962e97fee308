#ifndef LUTRA_RUNTIME_BASE_TEXT_OF_H_
#define LUTRA_RUNTIME_BASE_TEXT_OF_H_

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

namespace lutra {

// What TextOf joins, as the parts of a text are passed on.
enum class TextPart : uint64_t {
  kEnd,
  kWords,
  kString,
  kView,
  kCount,
  kNumber
};
inline constexpr int kTextPartBits = 3;

template <typename T>
constexpr TextPart TextPartOf() {
  static_assert(!std::is_same_v<T, bool> && !std::is_same_v<T, char>);
  if constexpr (std::unsigned_integral<T>) {
    return TextPart::kCount;
  } else if constexpr (std::signed_integral<T>) {
    return TextPart::kNumber;
  } else if constexpr (std::is_same_v<T, std::string>) {
    return TextPart::kString;
  } else if constexpr (std::is_same_v<T, std::string_view>) {
    return TextPart::kView;
  } else {
    static_assert(std::is_convertible_v<T, const char*>);
    return TextPart::kWords;
  }
}

// Arguments of a function that takes any: one or, for a view, its address.
inline const char* PassText(const char* words) { return words; }
inline const std::string* PassText(const std::string& text) { return &text; }
inline const std::string_view* PassText(const std::string_view& text) {
  return &text;
}
template <std::unsigned_integral T>
uint64_t PassText(T count) {
  return count;
}
template <std::signed_integral T>
int64_t PassText(T number) {
  return number;
}

// TextPart after TextPart, from the lowest bits on, and what they stand for.
std::string JoinText(uint64_t parts, ...);

// Words, strings and whole numbers, one after the other. A sum of strings makes
// and destroys one for each of them, in code that took a tenth of a small
// program; this is one call.
template <typename... T>
[[gnu::always_inline]] inline std::string TextOf(const T&... parts) {
  static_assert(sizeof...(parts) * kTextPartBits < 64);
  uint64_t code = 0;
  int bits = 0;
  ((code |= static_cast<uint64_t>(TextPartOf<std::decay_t<T>>()) << bits,
    bits += kTextPartBits),
   ...);
  return JoinText(code, PassText(parts)...);
}

}  // namespace lutra

#endif  // LUTRA_RUNTIME_BASE_TEXT_OF_H_
