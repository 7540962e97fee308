#ifndef LUTRA_RUNTIME_CHAT_NUMBERS_H_
#define LUTRA_RUNTIME_CHAT_NUMBERS_H_

#include <optional>
#include <string>
#include <string_view>

#include "runtime/chat/value.h"

// Numbers as Python writes, reads and computes them.

namespace lutra::chat {

std::string IntegerText(Int value, int base = 10);
// The shortest digits that give the number again: "1.0", "1e+16", "nan".
std::string FloatText(double value);
// With so many digits after the point; after the first one of 'd.ddde+XX'.
std::string FixedText(double value, int digits);
std::string ScientificText(double value, int digits);

// Python's int(text, base) and float(text); nothing where that fails.
std::optional<Int> ParseInteger(std::string_view text, int base);
std::optional<double> ParseFloat(std::string_view text);

// Of a finite number, truncated. Throws where it does not fit.
Int ToInteger(double value);

// Python's round(value, digits).
Value Round(const Value& value, Int digits);

enum class Operator : unsigned char {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
};

Value Compute(Budget& budget, Operator op, const Value& a, const Value& b);
Value Negate(const Value& value);
Value Plus(const Value& value);

}  // namespace lutra::chat

#endif  // LUTRA_RUNTIME_CHAT_NUMBERS_H_
