#include "runtime/chat/filters.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "runtime/base/printable.h"
#include "runtime/chat/access.h"
#include "runtime/chat/characters.h"
#include "runtime/chat/evaluator.h"
#include "runtime/chat/json_text.h"
#include "runtime/chat/numbers.h"
#include "runtime/chat/text.h"

namespace lutra::chat {
namespace {

// Filters of numbers, and those of any value.

Value Abs(Evaluator&, const Value& value, const CallArguments& arguments) {
  const Bound none(arguments, "abs", {});
  if (!value.IsNumber()) {
    FailRun("bad operand type for abs(): '" + TypeName(value) + "'");
  }
  if (value.Is(Kind::kFloat)) return Value::Float(std::fabs(value.real()));
  return value.integer() < 0 ? Negate(value) : Plus(value);
}

Value Attr(Evaluator& evaluator, const Value& value,
           const CallArguments& arguments) {
  const Bound bound(arguments, "attr", {"name"}, 1);
  const std::string& name = bound.String(0);
  if (value.IsUndefined() && name.size() > 4 && name.substr(0, 2) == "__" &&
      name.substr(name.size() - 2) == "__") {
    return MakeUndefined(evaluator.budget(), "'Undefined' has no attribute");
  }
  if (auto found = FindAttribute(evaluator.budget(), value, name)) {
    return *found;
  }
  return MakeUndefined(evaluator.budget(), Quoted(TypeName(value) + " object") +
                                               " has no attribute " +
                                               Quoted(name));
}

Value Default(Evaluator& evaluator, const Value& value,
              const CallArguments& arguments) {
  const Bound bound(arguments, "default", {"default_value", "boolean"});
  const bool replaced =
      value.IsUndefined() || (bound.Bool(1, false) && !Truth(value));
  if (!replaced) return value;
  return bound.Find(0) == nullptr ? MakeString(&evaluator.budget(), "")
                                  : bound[0];
}

Value Count(Evaluator&, const Value& value, const CallArguments& arguments) {
  const Bound none(arguments, "length", {});
  return Value::Integer(static_cast<Int>(Length(value)));
}

std::optional<double> AsFloat(const Value& value) {
  RequireDefined(value);
  if (value.IsNumber()) return value.AsDouble();
  if (value.IsString()) return ParseFloat(value.text());
  return std::nullopt;
}

Value ToFloat(Evaluator&, const Value& value, const CallArguments& arguments) {
  const Bound bound(arguments, "float", {"default"});
  if (const auto number = AsFloat(value)) return Value::Float(*number);
  return bound.Find(0) == nullptr ? Value::Float(0) : bound[0];
}

Value ToInt(Evaluator&, const Value& value, const CallArguments& arguments) {
  const Bound bound(arguments, "int", {"default", "base"});
  RequireDefined(value);
  if (value.IsInteger()) return Value::Integer(value.integer());
  if (value.Is(Kind::kFloat) && std::isinf(value.real())) {
    FailRun("cannot convert float infinity to integer");
  }
  if (value.IsString()) {
    const Int base = bound.Integer(1, 10);
    if (base == 0 || (base >= 2 && base <= 36)) {
      const auto integer = ParseInteger(value.text(), static_cast<int>(base));
      if (integer) return Value::Integer(*integer);
    }
  }
  const auto number = AsFloat(value);
  if (number && std::isfinite(*number)) {
    return Value::Integer(ToInteger(*number));
  }
  return bound.Find(0) == nullptr ? Value::Integer(0) : bound[0];
}

Value RoundFilter(Evaluator& evaluator, const Value& value,
                  const CallArguments& arguments) {
  const Bound bound(arguments, "round", {"precision", "method"});
  const std::string method =
      bound.Find(1) == nullptr ? "common" : bound.String(1);
  if (method != "common" && method != "ceil" && method != "floor") {
    FailRun("method must be common, ceil or floor");
  }
  const Int precision = bound.Integer(0, 0);
  if (method == "common") return Round(value, precision);
  // func(value * 10 ** precision) / 10 ** precision
  Budget& budget = evaluator.budget();
  const Value unit = Compute(budget, Operator::kPower, Value::Integer(10),
                             Value::Integer(precision));
  const Value scaled = Compute(budget, Operator::kMultiply, value, unit);
  if (!scaled.IsNumber()) FailRun("must be real number");
  const Value whole = scaled.IsInteger()
                          ? scaled
                          : Value::Integer(ToInteger(
                                method == "ceil" ? std::ceil(scaled.real())
                                                 : std::floor(scaled.real())));
  return Compute(budget, Operator::kDivide, whole, unit);
}

Value FileSize(Evaluator& evaluator, const Value& value,
               const CallArguments& arguments) {
  const Bound bound(arguments, "filesizeformat", {"binary"});
  const bool binary = bound.Bool(0, false);
  const auto number = AsFloat(value);
  if (!number) FailRun("could not convert the value to float");
  const double base = binary ? 1024 : 1000;
  std::string text;
  if (*number == 1) {
    text = "1 Byte";
  } else if (*number < base) {
    text = IntegerText(ToInteger(*number)) + " Bytes";
  } else {
    static constexpr std::string_view kLetters = "kMGTPEZY";
    double unit = base;
    size_t i = 0;
    for (; i < kLetters.size(); ++i) {
      unit *= base;
      if (*number < unit) break;
    }
    i = std::min(i, kLetters.size() - 1);
    text = FixedText(base * *number / unit, 1) + " ";
    const char letter = kLetters[i];
    text += binary && letter == 'k' ? 'K' : letter;
    text += binary ? "iB" : "B";
  }
  return MakeString(&evaluator.budget(), std::move(text));
}

Value ToJson(Evaluator& evaluator, const Value& value,
             const CallArguments& arguments) {
  const Bound bound(arguments, "tojson",
                    {"ensure_ascii", "indent", "separators", "sort_keys"});
  Budget& budget = evaluator.budget();
  JsonStyle style;
  style.ascii = bound.Bool(0, false);
  style.sort_keys = bound.Bool(3, false);
  if (bound.Given(1)) {
    style.lines = true;
    if (bound[1].IsString()) {
      style.indent = bound[1].text();
    } else {
      const Int spaces = std::max<Int>(bound.Integer(1, 0), 0);
      if (spaces > (Int{1} << 30)) FailLimit("tojson: too wide an indent");
      budget.Check(static_cast<size_t>(spaces));
      style.indent = std::string(static_cast<size_t>(spaces), ' ');
    }
    style.item_separator = ',';
  }
  if (bound.Given(2)) {
    const Values pair = Elements(budget, bound[2]);
    if (pair.size() != 2 || !pair[0].IsString() || !pair[1].IsString()) {
      FailRun("tojson: separators are two strings");
    }
    style.item_separator = pair[0].text();
    style.key_separator = pair[1].text();
  }
  return MakeString(&budget, JsonText(budget, value, style));
}

struct Named {
  std::string_view name;
  Filter filter;
};

constexpr Named kFilters[] = {
    {"abs", Abs},           {"attr", Attr},       {"count", Count},
    {"d", Default},         {"default", Default}, {"filesizeformat", FileSize},
    {"float", ToFloat},     {"int", ToInt},       {"length", Count},
    {"round", RoundFilter}, {"tojson", ToJson},
};

Filter FindFilter(std::string_view name) {
  for (const Named& each : kFilters) {
    if (each.name == name) return each.filter;
  }
  if (const Filter filter = FindTextFilter(name)) return filter;
  if (const Filter filter = FindSequenceFilter(name)) return filter;
  return FindOrderFilter(name);
}

}  // namespace

bool IsFilter(std::string_view name) { return FindFilter(name) != nullptr; }

bool IsFilterWithoutSupport(std::string_view name) {
  static constexpr std::string_view kLacking[] = {
      "pprint", "random", "striptags", "urlize", "wordwrap", "xmlattr"};
  return std::find(std::begin(kLacking), std::end(kLacking), name) !=
         std::end(kLacking);
}

Value ApplyFilter(Evaluator& evaluator, std::string_view name,
                  const Value& value, const CallArguments& arguments) {
  const Filter filter = FindFilter(name);
  if (filter == nullptr) {
    FailRun((IsFilterWithoutSupport(name)
                 ? "chat template: not supported: the filter '"
                 : "No filter named '") +
            Printable(name) + "'");
  }
  evaluator.budget().Step();
  return filter(evaluator, value, arguments);
}

Value FollowPath(Budget& budget, const Value& item, const Value& path,
                 const Value* otherwise) {
  Value current = item;
  const auto step = [&](const Value& part) {
    current = GetItem(budget, current, part);
    if (otherwise != nullptr && !otherwise->IsNone() && current.IsUndefined()) {
      current = *otherwise;
    }
  };
  if (path.IsNone()) return current;
  if (!path.IsString()) {
    step(path);
    return current;
  }
  std::string_view rest = path.text();
  for (;;) {
    const size_t point = rest.find('.');
    const std::string_view part = rest.substr(0, point);
    const bool digits = !part.empty() && part.find_first_not_of("0123456789") ==
                                             std::string_view::npos;
    const auto index = digits ? ParseInteger(part, 10) : std::optional<Int>();
    step(index ? Value::Integer(*index)
               : MakeString(&budget, std::string(part)));
    if (point == std::string_view::npos) return current;
    rest.remove_prefix(point + 1);
  }
}

}  // namespace lutra::chat
