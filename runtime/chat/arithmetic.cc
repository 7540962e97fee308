#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "runtime/chat/format.h"
#include "runtime/chat/numbers.h"
#include "runtime/chat/text.h"

namespace lutra::chat {
namespace {

constexpr Int kLargest = std::numeric_limits<Int>::max();
constexpr Int kSmallest = std::numeric_limits<Int>::min();

[[noreturn]] void FailLarge() { FailLimit("an integer is too large"); }

Int Add(Int a, Int b) {
  if (b > 0 ? a > kLargest - b : a < kSmallest - b) FailLarge();
  return a + b;
}

Int Multiply(Int a, Int b) {
  if (a == 0 || b == 0) return 0;
  if (a == kSmallest || b == kSmallest) FailLarge();
  const Int x = a < 0 ? -a : a;
  const Int y = b < 0 ? -b : b;
  if (x > kLargest / y) FailLarge();
  return a * b;
}

Int FloorDivide(Int a, Int b) {
  if (b == 0) FailRun("integer division or modulo by zero");
  if (a == kSmallest && b == -1) FailLarge();
  const Int quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

Int Modulo(Int a, Int b) {
  if (b == 0) FailRun("integer modulo by zero");
  if (b == -1) return 0;
  const Int rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

double Modulo(double a, double b) {
  if (b == 0) FailRun("float modulo by zero");
  const double rest = std::fmod(a, b);
  if (rest == 0) return std::copysign(0.0, b);
  return (rest < 0) != (b < 0) ? rest + b : rest;
}

double FloorDivide(double a, double b) {
  if (b == 0) FailRun("float floor division by zero");
  double rest = std::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0 && (rest < 0) != (b < 0)) quotient -= 1;
  if (quotient == 0) return std::copysign(0.0, a / b);
  const double floored = std::floor(quotient);
  return quotient - floored > 0.5 ? floored + 1 : floored;
}

Value Power(const Value& a, const Value& b) {
  if (a.IsInteger() && b.IsInteger() && b.integer() >= 0) {
    Int base = a.integer();
    Int exponent = b.integer();
    if (base == 0 || base == 1) {
      return Value::Integer(exponent == 0 ? 1 : base);
    }
    if (base == -1) return Value::Integer(exponent % 2 == 0 ? 1 : -1);
    if (exponent > 127) FailLarge();
    Int result = 1;
    for (; exponent > 0; --exponent) result = Multiply(result, base);
    return Value::Integer(result);
  }
  const double x = a.AsDouble();
  const double y = b.AsDouble();
  if (x == 0 && y < 0) {
    FailRun("0.0 cannot be raised to a negative power");
  }
  if (x < 0 && std::isfinite(x) && std::isfinite(y) && y != std::floor(y)) {
    FailRun("chat template: complex numbers are not supported");
  }
  const double result = std::pow(x, y);
  if (std::isinf(result) && std::isfinite(x) && std::isfinite(y)) {
    FailRun("(34, 'Numerical result out of range')");
  }
  return Value::Float(result);
}

// Exact quotient of integers, rounded once where both are exact doubles.
double Divide(const Value& a, const Value& b) {
  if (Truth(b) == false) {
    FailRun(a.Is(Kind::kFloat) || b.Is(Kind::kFloat) ? "float division by zero"
                                                     : "division by zero");
  }
  constexpr Int kExact = Int{1} << 53;
  if (a.IsInteger() && b.IsInteger()) {
    const Int x = a.integer();
    const Int y = b.integer();
    if ((x > kExact || x < -kExact || y > kExact || y < -kExact)) {
      if (x % y == 0) return static_cast<double>(x / y);
      return static_cast<double>(static_cast<long double>(x) /
                                 static_cast<long double>(y));
    }
  }
  return a.AsDouble() / b.AsDouble();
}

Value ComputeNumbers(Operator op, const Value& a, const Value& b) {
  if (op == Operator::kDivide) return Value::Float(Divide(a, b));
  if (op == Operator::kPower) return Power(a, b);
  if (a.IsInteger() && b.IsInteger()) {
    const Int x = a.integer();
    const Int y = b.integer();
    switch (op) {
      case Operator::kAdd:
        return Value::Integer(Add(x, y));
      case Operator::kSubtract:
        if (y == kSmallest) FailLarge();
        return Value::Integer(Add(x, -y));
      case Operator::kMultiply:
        return Value::Integer(Multiply(x, y));
      case Operator::kFloorDivide:
        return Value::Integer(FloorDivide(x, y));
      default:
        return Value::Integer(Modulo(x, y));
    }
  }
  const double x = a.AsDouble();
  const double y = b.AsDouble();
  switch (op) {
    case Operator::kAdd:
      return Value::Float(x + y);
    case Operator::kSubtract:
      return Value::Float(x - y);
    case Operator::kMultiply:
      return Value::Float(x * y);
    case Operator::kFloorDivide:
      return Value::Float(FloorDivide(x, y));
    default:
      return Value::Float(Modulo(x, y));
  }
}

}  // namespace

Value Negate(const Value& value) {
  RequireDefined(value);
  if (value.Is(Kind::kFloat)) return Value::Float(-value.real());
  if (value.IsInteger()) {
    if (value.integer() == kSmallest) FailLarge();
    return Value::Integer(-value.integer());
  }
  FailRun("bad operand type for unary -: '" + TypeName(value) + "'");
}

Value Plus(const Value& value) {
  RequireDefined(value);
  if (value.Is(Kind::kFloat)) return value;
  if (value.IsInteger()) return Value::Integer(value.integer());
  FailRun("bad operand type for unary +: '" + TypeName(value) + "'");
}

namespace {

constexpr const char* kSigns[] = {"+", "-", "*", "/", "//", "%", "** or pow()"};

Value Repeat(Budget& budget, const Value& value, Int count) {
  const size_t size = value.IsString() ? value.text().size()
                                       : value.items().size() * sizeof(Value);
  if (count <= 0 || size == 0) count = size == 0 ? 0 : std::max<Int>(count, 0);
  constexpr auto kMost =
      std::min<uint64_t>(uint64_t{1} << 40, std::numeric_limits<size_t>::max());
  if (static_cast<uint64_t>(count) > kMost / std::max<size_t>(size, 1)) {
    FailLimit("chat template: needs too much memory");
  }
  const auto times = static_cast<size_t>(count);
  budget.Check(size * times);
  if (value.IsString()) {
    std::string text;
    text.reserve(size * times);
    for (size_t i = 0; i < times; ++i) text += value.text();
    return MakeString(&budget, std::move(text), value.As<StringObject>().safe);
  }
  Values items;
  items.reserve(value.items().size() * times);
  for (size_t i = 0; i < times; ++i) {
    items.insert(items.end(), value.items().begin(), value.items().end());
  }
  return MakeList(budget, std::move(items), value.kind());
}

Value Join(Budget& budget, const Value& a, const Value& b) {
  if (a.IsString()) {
    const bool safe_a = a.As<StringObject>().safe;
    const bool safe_b = b.As<StringObject>().safe;
    if (safe_a == safe_b) {
      budget.Check(a.text().size() + b.text().size());
      return MakeString(&budget, a.text() + b.text(), safe_a);
    }
    // Markup escapes what it is joined with.
    const std::string left = safe_a ? a.text() : Escaped(a.text());
    const std::string right = safe_b ? b.text() : Escaped(b.text());
    return MakeString(&budget, left + right, true);
  }
  budget.Check((a.items().size() + b.items().size()) * sizeof(Value));
  Values items = a.items();
  items.insert(items.end(), b.items().begin(), b.items().end());
  return MakeList(budget, std::move(items), a.kind());
}

bool CanRepeat(const Value& value) {
  return value.IsString() || value.IsSequence();
}

}  // namespace

Value Compute(Budget& budget, Operator op, const Value& a, const Value& b) {
  budget.Step();
  if (a.IsNumber() && b.IsNumber()) return ComputeNumbers(op, a, b);
  // A format takes an undefined argument for an empty text.
  if (op == Operator::kModulo && a.IsString()) {
    return FormatPercent(budget, a, b);
  }
  RequireDefined(a);
  RequireDefined(b);
  if (op == Operator::kAdd && a.kind() == b.kind() && CanRepeat(a)) {
    return Join(budget, a, b);
  }
  if (op == Operator::kMultiply) {
    if (CanRepeat(a) && b.IsInteger()) return Repeat(budget, a, b.integer());
    if (CanRepeat(b) && a.IsInteger()) return Repeat(budget, b, a.integer());
  }
  FailRun("unsupported operand type(s) for " +
          std::string(kSigns[static_cast<size_t>(op)]) + ": '" + TypeName(a) +
          "' and '" + TypeName(b) + "'");
}

}  // namespace lutra::chat
