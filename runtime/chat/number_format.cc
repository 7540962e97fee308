#include "runtime/chat/number_format.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "runtime/chat/budget.h"
#include "runtime/chat/characters.h"
#include "runtime/chat/numbers.h"

namespace lutra::chat {
namespace {

// No double has more digits than these behind its point.
constexpr size_t kMostDigits = 1100;

int CheckedDigits(size_t precision) {
  if (precision > kMostDigits) FailLimit("chat template: too many digits");
  return static_cast<int>(precision);
}

int Exponent(const std::string& scientific) {
  const size_t e = scientific.find('e');
  const char* begin = scientific.data() + e + 1;
  if (*begin == '+') ++begin;
  int exponent = 0;
  std::from_chars(begin, scientific.data() + scientific.size(), exponent);
  return exponent;
}

// Without zeros at the end of a fraction, and without a point at its end.
std::string Trimmed(const std::string& text) {
  const size_t e = text.find('e');
  std::string mantissa = text.substr(0, e);
  if (mantissa.find('.') != std::string::npos) {
    mantissa.erase(mantissa.find_last_not_of('0') + 1);
    if (mantissa.back() == '.') mantissa.pop_back();
  }
  return e == std::string::npos ? mantissa : mantissa + text.substr(e);
}

std::string General(double value, size_t precision, bool hash, int extra) {
  const size_t digits = std::max<size_t>(precision, 1);
  const std::string scientific =
      ScientificText(value, CheckedDigits(digits) - 1);
  const int exponent = Exponent(scientific);
  // Without a type the last place where a number stays plain is one earlier.
  if (exponent < -4 || exponent >= static_cast<int>(digits) - extra) {
    return hash ? scientific : Trimmed(scientific);
  }
  const std::string fixed =
      FixedText(value, static_cast<int>(digits) - 1 - exponent);
  return hash ? fixed : Trimmed(fixed);
}

}  // namespace

std::string RealDigits(double value, char type, size_t precision, bool hash) {
  std::string text;
  if (!std::isfinite(value)) {
    text = FloatText(value);
  } else if (type == 'f' || type == 'F') {
    text = FixedText(value, CheckedDigits(precision));
    if (hash && precision == 0) text += '.';
  } else if (type == 'e' || type == 'E') {
    text = ScientificText(value, CheckedDigits(precision));
    if (hash && precision == 0) text.insert(1, 1, '.');
  } else {
    text = General(value, precision, hash, 0);
  }
  return type >= 'A' && type <= 'Z' ? Upper(text) : text;
}

std::string GeneralText(double value, size_t precision, bool hash) {
  if (!std::isfinite(value)) return FloatText(value);
  std::string text = General(value, precision, hash, 1);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

}  // namespace lutra::chat
