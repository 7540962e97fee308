#include "runtime/chat/tests.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "runtime/base/printable.h"
#include "runtime/chat/evaluator.h"
#include "runtime/chat/filters.h"
#include "runtime/chat/methods.h"
#include "runtime/chat/numbers.h"
#include "runtime/chat/text.h"

namespace lutra::chat {
namespace {

constexpr std::string_view kNames[] = {
    "!=",          "<",         "<=",      "==",          ">",        ">=",
    "boolean",     "callable",  "defined", "divisibleby", "eq",       "equalto",
    "escaped",     "even",      "false",   "filter",      "float",    "ge",
    "greaterthan", "gt",        "in",      "integer",     "iterable", "le",
    "lessthan",    "lower",     "lt",      "mapping",     "ne",       "none",
    "number",      "odd",       "sameas",  "sequence",    "string",   "test",
    "true",        "undefined", "upper"};

bool IsSequenceLike(const Value& value) {
  return value.IsUndefined() || value.IsString() || value.IsSequence() ||
         value.IsDict() || value.Is(Kind::kRange);
}

bool IsName(const Value& value, bool (*known)(std::string_view)) {
  switch (value.kind()) {
    case Kind::kString:
      return known(value.text());
    case Kind::kList:
    case Kind::kDict:
      FailRun("unhashable type: '" + TypeName(value) + "'");
    default:
      return false;
  }
}

bool KnownFilter(std::string_view name) {
  return IsFilter(name) || IsFilterWithoutSupport(name);
}

// Tests without arguments.
std::optional<bool> Plain(Evaluator& evaluator, std::string_view name,
                          const Value& value) {
  Budget& budget = evaluator.budget();
  if (name == "defined") return !value.IsUndefined();
  if (name == "undefined") return value.IsUndefined();
  if (name == "none") return value.IsNone();
  if (name == "string") return value.IsString();
  if (name == "mapping") return value.IsDict();
  if (name == "iterable") return IsIterable(value);
  if (name == "sequence") return IsSequenceLike(value);
  if (name == "boolean") return value.Is(Kind::kBool);
  if (name == "true") return value.Is(Kind::kBool) && value.boolean();
  if (name == "false") return value.Is(Kind::kBool) && !value.boolean();
  if (name == "number") return value.IsNumber();
  if (name == "integer") return value.Is(Kind::kInt);
  if (name == "float") return value.Is(Kind::kFloat);
  if (name == "callable") return IsCallable(value);
  if (name == "escaped") {
    return value.IsString() && value.As<StringObject>().safe;
  }
  if (name == "filter") return IsName(value, KnownFilter);
  if (name == "test") return IsName(value, IsTest);
  if (name == "lower" || name == "upper") {
    const Value text = MakeString(&budget, Text(budget, value));
    return Truth(
        CallMethod(budget, text, name == "lower" ? "islower" : "isupper", {}));
  }
  if (name == "odd" || name == "even") {
    const Value rest =
        Compute(budget, Operator::kModulo, value, Value::Integer(2));
    return Equal(budget, rest, Value::Integer(name == "odd" ? 1 : 0));
  }
  return std::nullopt;
}

bool WithOne(Evaluator& evaluator, std::string_view name, const Value& value,
             const Value& other) {
  Budget& budget = evaluator.budget();
  if (name == "==" || name == "eq" || name == "equalto") {
    return Equal(budget, value, other);
  }
  if (name == "!=" || name == "ne") return !Equal(budget, value, other);
  if (name == "<" || name == "lt" || name == "lessthan") {
    return Less(budget, value, other, "<");
  }
  if (name == ">" || name == "gt" || name == "greaterthan") {
    return Less(budget, value, other, ">");
  }
  if (name == "<=" || name == "le") return Less(budget, value, other, "<=");
  if (name == ">=" || name == "ge") return Less(budget, value, other, ">=");
  if (name == "in") return Contains(budget, other, value);
  if (name == "sameas") return Same(value, other);
  // divisibleby
  return Equal(budget, Compute(budget, Operator::kModulo, value, other),
               Value::Integer(0));
}

}  // namespace

bool IsTest(std::string_view name) {
  return std::find(std::begin(kNames), std::end(kNames), name) !=
         std::end(kNames);
}

bool IsCallable(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kMacro:
    case Kind::kFunction:
    case Kind::kMethod:
    case Kind::kLoop:
    case Kind::kJoiner:
      return true;
    default:
      return false;
  }
}

bool ApplyTest(Evaluator& evaluator, std::string_view name, const Value& value,
               const CallArguments& arguments) {
  evaluator.budget().Step();
  if (!IsTest(name)) FailRun("No test named '" + Printable(name) + "'");
  if (const auto result = Plain(evaluator, name, value)) {
    const Bound none(arguments, name, {});
    return *result;
  }
  const std::string_view parameter = name == "divisibleby" ? "num"
                                     : name == "in"        ? "seq"
                                     : name == "sameas"    ? "other"
                                                           : "";
  const Bound bound(arguments, name, {parameter}, 1);
  return WithOne(evaluator, name, value, bound[0]);
}

}  // namespace lutra::chat
