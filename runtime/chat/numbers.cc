#include "runtime/chat/numbers.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "runtime/chat/characters.h"

namespace lutra::chat {
namespace {

int DigitValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'z') return c - 'a' + 10;
  if (c >= 'A' && c <= 'Z') return c - 'A' + 10;
  return 99;
}

// Python reads the digits of all scripts.
void RequireAsciiDigits(std::string_view text) {
  ForEachCharacter(text, [](char32_t c, std::string_view) {
    if (c >= 0x80 && IsDecimal(c)) {
      FailRun("chat template: numbers in such digits are not supported");
    }
    return true;
  });
}

// Digits without the underscores that may stand between them.
std::optional<std::string> Ungrouped(std::string_view digits) {
  std::string plain;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (digits[i] != '_') {
      plain += digits[i];
      continue;
    }
    const bool between = i > 0 && i + 1 < digits.size() &&
                         DigitValue(digits[i - 1]) < 36 &&
                         DigitValue(digits[i + 1]) < 36;
    if (!between) return std::nullopt;
  }
  return plain;
}

// What printf writes, with a point whatever the locale has.
std::string WithPoint(std::string_view printed) {
  std::string text;
  bool point = false;
  for (const char c : printed) {
    const bool digit = DigitValue(c) < 10 || c == '-' || c == '+' || c == 'e';
    if (digit) {
      text += c;
    } else if (!std::exchange(point, true)) {
      text += '.';
    }
  }
  return text;
}

// Of a finite number: its shortest digits, as d.ddde+XX.
std::string ShortestDigits(double value) {
#ifdef __cpp_lib_to_chars
  std::array<char, 40> buffer{};
  const auto [end, error] =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                    std::chars_format::scientific);
  return {buffer.data(), end};
#else
  // Libraries without it: the first number of digits that give it again. Some
  // powers of two have a shorter form that is not the nearest of its length.
  constexpr int kMost = 16;
  std::string text;
  for (int digits = 0; digits <= kMost; ++digits) {
    text = ScientificText(value, digits);
    if (ParseFloat(text) == value) break;
  }
  return text;
#endif
}

}  // namespace

std::string IntegerText(Int value, int base) {
  if (value == 0) return "0";
  const bool negative = value < 0;
  std::string digits;
  while (value != 0) {
    int digit = static_cast<int>(value % base);
    if (digit < 0) digit = -digit;
    digits += "0123456789abcdef"[digit];
    value /= base;
  }
  if (negative) digits += '-';
  return {digits.rbegin(), digits.rend()};
}

std::string FloatText(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  const std::string all = ShortestDigits(value);
  std::string_view text = all;
  std::string sign;
  if (text.front() == '-') {
    sign = "-";
    text.remove_prefix(1);
  }
  const size_t e = text.find('e');
  int exponent = 0;
  const char* exponent_text = text.data() + e + 1;
  if (*exponent_text == '+') ++exponent_text;
  std::from_chars(exponent_text, text.data() + text.size(), exponent);
  std::string digits(1, text[0]);
  if (e > 2) digits += text.substr(2, e - 2);
  const int count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    std::string result = sign + digits[0];
    if (count > 1) result += "." + digits.substr(1);
    const int magnitude = std::abs(exponent);
    result += exponent < 0 ? "e-" : "e+";
    if (magnitude < 10) result += '0';
    return result + std::to_string(magnitude);
  }
  if (exponent < 0) {
    return sign + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') +
           digits;
  }
  if (count <= exponent + 1) {
    return sign + digits +
           std::string(static_cast<size_t>(exponent + 1 - count), '0') + ".0";
  }
  const auto point = static_cast<size_t>(exponent + 1);
  return sign + digits.substr(0, point) + "." + digits.substr(point);
}

std::string FixedText(double value, int digits) {
  if (!std::isfinite(value)) return FloatText(value);
  // The largest number has 309 digits before its point.
  std::string text(static_cast<size_t>(digits) + 320, '\0');
  const int size =
      std::snprintf(text.data(), text.size(), "%.*f", digits, value);
  return WithPoint(std::string_view(text).substr(0, static_cast<size_t>(size)));
}

std::string ScientificText(double value, int digits) {
  if (!std::isfinite(value)) return FloatText(value);
  std::string text(static_cast<size_t>(digits) + 20, '\0');
  const int size =
      std::snprintf(text.data(), text.size(), "%.*e", digits, value);
  return WithPoint(std::string_view(text).substr(0, static_cast<size_t>(size)));
}

std::optional<Int> ParseInteger(std::string_view text, int base) {
  text = StripLeft(StripRight(text));
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  if (text.size() > 1 && text[0] == '0') {
    const char mark = static_cast<char>(text[1] | 0x20);
    const int marked = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 0;
    if (marked != 0 && (base == 0 || base == marked)) {
      base = marked;
      text.remove_prefix(2);
      if (!text.empty() && text[0] == '_') text.remove_prefix(1);
    } else if (base == 0) {
      for (const char c : text) {
        if (c != '0' && c != '_') return std::nullopt;
      }
    }
  }
  if (base == 0) base = 10;
  RequireAsciiDigits(text);
  const auto digits = Ungrouped(text);
  if (!digits || digits->empty()) return std::nullopt;
  const Int kMost = std::numeric_limits<Int>::max() / 64;
  Int value = 0;
  for (const char c : *digits) {
    const int digit = DigitValue(c);
    if (digit >= base) return std::nullopt;
    if (value > kMost) FailLimit("an integer is too large");
    value = value * base + digit;
  }
  return negative ? -value : value;
}

std::optional<double> ParseFloat(std::string_view text) {
  text = StripLeft(StripRight(text));
  RequireAsciiDigits(text);
  const auto plain = Ungrouped(text);
  if (!plain || plain->empty()) return std::nullopt;
  std::string_view rest = *plain;
  bool negative = false;
  if (rest[0] == '-' || rest[0] == '+') {
    negative = rest[0] == '-';
    rest.remove_prefix(1);
  }
  const std::string lower = Lower(rest);
  double value = 0;
  if (lower == "inf" || lower == "infinity") {
    value = std::numeric_limits<double>::infinity();
  } else if (lower == "nan") {
    value = std::numeric_limits<double>::quiet_NaN();
  } else {
    // As a number of JSON, which is read alike in every locale.
    const size_t e = lower.find('e');
    std::string mantissa = lower.substr(0, e);
    const std::string exponent = e == std::string::npos ? "" : lower.substr(e);
    const size_t point = mantissa.find('.');
    std::string whole = mantissa.substr(0, point);
    std::string fraction =
        point == std::string::npos ? "" : mantissa.substr(point + 1);
    if (whole.empty() && fraction.empty()) return std::nullopt;
    const auto digits = [](std::string_view part) {
      for (const char c : part) {
        if (c < '0' || c > '9') return false;
      }
      return true;
    };
    if (!digits(whole) || !digits(fraction)) return std::nullopt;
    const size_t first = whole.find_first_not_of('0');
    whole = first == std::string::npos ? "0" : whole.substr(first);
    if (fraction.empty()) fraction = "0";
    const auto number = nlohmann::json::parse(whole + "." + fraction + exponent,
                                              nullptr, false);
    if (number.is_discarded()) {
      // Too large for a double, or not a number at all.
      if (e == std::string::npos || exponent.size() < 2) {
        return whole.size() > 300 ? std::optional<double>(
                                        std::numeric_limits<double>::infinity())
                                  : std::nullopt;
      }
      const size_t sign = exponent[1] == '-' || exponent[1] == '+' ? 2 : 1;
      if (sign >= exponent.size() ||
          !digits(std::string_view(exponent).substr(sign))) {
        return std::nullopt;
      }
      value = std::numeric_limits<double>::infinity();
    } else {
      value = number.get<double>();
    }
  }
  return negative ? -value : value;
}

Int ToInteger(double value) {
  if (std::isnan(value)) FailRun("cannot convert float NaN to integer");
  if (std::isinf(value)) FailRun("cannot convert float infinity to integer");
  constexpr double kEnd = 1.7e38;
  if (value > kEnd || value < -kEnd) FailLimit("an integer is too large");
  return static_cast<Int>(value);
}

Value Round(const Value& value, Int digits) {
  if (value.IsInteger()) {
    if (digits >= 0) return Value::Integer(value.integer());
    if (digits < -37) return Value::Integer(0);
    Int unit = 1;
    for (Int i = digits; i < 0; ++i) unit *= 10;
    // Half goes to even.
    const Int integer = value.integer();
    Int quotient = integer / unit;
    Int rest = integer % unit;
    if (rest < 0) {
      rest += unit;
      --quotient;
    }
    if (rest * 2 > unit || (rest * 2 == unit && quotient % 2 != 0)) ++quotient;
    return Value::Integer(quotient * unit);
  }
  if (!value.Is(Kind::kFloat)) {
    RequireDefined(value);
    FailRun("type " + TypeName(value) + " doesn't define __round__ method");
  }
  const double number = value.real();
  if (!std::isfinite(number) || digits > 323) return value;
  if (digits < -308) return Value::Float(std::copysign(0.0, number));
  if (digits >= 0) {
    const auto rounded =
        ParseFloat(FixedText(number, static_cast<int>(digits)));
    return Value::Float(*rounded);
  }
  // Digits before the point: those of d.ddde+XX, if any are left.
  const double magnitude = std::fabs(number);
  const int exponent =
      magnitude == 0 ? 0 : static_cast<int>(std::floor(std::log10(magnitude)));
  const int kept = exponent + static_cast<int>(digits);
  if (kept < 0) {
    double unit = 1;
    for (Int i = digits; i < 0; ++i) unit *= 10;
    return Value::Float(
        std::copysign(magnitude > unit / 2 ? unit : 0.0, number));
  }
  return Value::Float(*ParseFloat(ScientificText(number, kept)));
}

}  // namespace lutra::chat
