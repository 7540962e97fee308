// Filters that make text.

#include <algorithm>
#include <string>
#include <utility>

#include "runtime/chat/access.h"
#include "runtime/chat/characters.h"
#include "runtime/chat/evaluator.h"
#include "runtime/chat/filters.h"
#include "runtime/chat/methods.h"
#include "runtime/chat/numbers.h"
#include "runtime/chat/text.h"

namespace lutra::chat {
namespace {

// A method of the value as a string.
Value Method(Evaluator& evaluator, const Value& value, std::string_view name,
             CallArguments arguments = {}) {
  Budget& budget = evaluator.budget();
  return CallMethod(budget, AsString(budget, value), name, arguments);
}

Value UpperFilter(Evaluator& evaluator, const Value& value,
                  const CallArguments& arguments) {
  const Bound none(arguments, "upper", {});
  return Method(evaluator, value, "upper");
}

Value LowerFilter(Evaluator& evaluator, const Value& value,
                  const CallArguments& arguments) {
  const Bound none(arguments, "lower", {});
  return Method(evaluator, value, "lower");
}

Value CapitalizeFilter(Evaluator& evaluator, const Value& value,
                       const CallArguments& arguments) {
  const Bound none(arguments, "capitalize", {});
  return Method(evaluator, value, "capitalize");
}

Value Trim(Evaluator& evaluator, const Value& value,
           const CallArguments& arguments) {
  const Bound bound(arguments, "trim", {"chars"});
  CallArguments chars;
  if (bound.Given(0)) chars.positional.push_back(bound[0]);
  return Method(evaluator, value, "strip", std::move(chars));
}

Value Center(Evaluator& evaluator, const Value& value,
             const CallArguments& arguments) {
  const Bound bound(arguments, "center", {"width"});
  CallArguments width;
  width.positional.push_back(bound.Find(0) == nullptr ? Value::Integer(80)
                                                      : bound[0]);
  return Method(evaluator, value, "center", std::move(width));
}

// Words begin at the start and behind what may stand before one.
Value TitleFilter(Evaluator& evaluator, const Value& value,
                  const CallArguments& arguments) {
  const Bound none(arguments, "title", {});
  Budget& budget = evaluator.budget();
  const std::string text = Text(budget, value);
  budget.Step(text.size() / 8);
  const auto separates = [](char32_t c) {
    return c == '-' || c == '(' || c == '{' || c == '[' || c == '<' ||
           IsSpace(c);
  };
  std::string result;
  std::string_view rest = text;
  while (!rest.empty()) {
    const size_t first = ReadUtf8(rest).bytes;
    const bool separator = separates(DecodeUtf8(rest));
    size_t end = 0;
    ForEachCharacter(rest, [&](char32_t c, std::string_view bytes) {
      if (separates(c) != separator) return false;
      end += bytes.size();
      return true;
    });
    result += Upper(rest.substr(0, first));
    result += Lower(rest.substr(first, end - first));
    rest.remove_prefix(end);
  }
  return MakeString(&budget, std::move(result));
}

Value StringFilter(Evaluator& evaluator, const Value& value,
                   const CallArguments& arguments) {
  const Bound none(arguments, "string", {});
  return AsString(evaluator.budget(), value);
}

Value Escape(Evaluator& evaluator, const Value& value,
             const CallArguments& arguments) {
  const Bound none(arguments, "escape", {});
  if (value.IsString() && value.As<StringObject>().safe) return value;
  Budget& budget = evaluator.budget();
  return MakeString(&budget, Escaped(Text(budget, value)), true);
}

Value ForceEscape(Evaluator& evaluator, const Value& value,
                  const CallArguments& arguments) {
  const Bound none(arguments, "forceescape", {});
  Budget& budget = evaluator.budget();
  return MakeString(&budget, Escaped(Text(budget, value)), true);
}

Value Safe(Evaluator& evaluator, const Value& value,
           const CallArguments& arguments) {
  const Bound none(arguments, "safe", {});
  Budget& budget = evaluator.budget();
  return MakeString(&budget, Text(budget, value), true);
}

Value Replace(Evaluator& evaluator, const Value& value,
              const CallArguments& arguments) {
  const Bound bound(arguments, "replace", {"old", "new", "count"}, 2);
  Budget& budget = evaluator.budget();
  CallArguments plain;
  plain.positional = {MakeString(&budget, Text(budget, bound[0])),
                      MakeString(&budget, Text(budget, bound[1]))};
  if (bound.Given(2)) plain.positional.push_back(bound[2]);
  return CallMethod(budget, MakeString(&budget, Text(budget, value)), "replace",
                    plain);
}

Value Format(Evaluator& evaluator, const Value& value,
             const CallArguments& arguments) {
  Budget& budget = evaluator.budget();
  if (!arguments.positional.empty() && !arguments.keywords.empty()) {
    FailRun("can't handle positional and keyword arguments at the same time");
  }
  Value values;
  if (arguments.keywords.empty()) {
    values = MakeList(budget, arguments.positional, Kind::kTuple);
  } else {
    DictBuilder dict(budget);
    for (const auto& [key, each] : arguments.keywords) {
      dict.Set(MakeString(&budget, key), each);
    }
    values = dict.Take();
  }
  return FormatPercent(budget, AsString(budget, value), values);
}

Value Indent(Evaluator& evaluator, const Value& value,
             const CallArguments& arguments) {
  const Bound bound(arguments, "indent", {"width", "first", "blank"});
  Budget& budget = evaluator.budget();
  RequireDefined(value);
  if (!value.IsString()) {
    FailRun("indent: the value is no string but " + TypeName(value));
  }
  const bool safe = value.As<StringObject>().safe;
  std::string indention(4, ' ');
  if (bound.Find(0) != nullptr) {
    if (bound[0].IsString()) {
      indention = bound[0].text();
    } else {
      const Int width = std::max<Int>(bound.Integer(0, 4), 0);
      if (width > (Int{1} << 30)) FailLimit("indent: too wide");
      budget.Check(static_cast<size_t>(width));
      indention = std::string(static_cast<size_t>(width), ' ');
    }
  }
  const bool first = bound.Bool(1, false);
  const bool blank = bound.Bool(2, false);
  // Python adds a line end first, so that the last line counts, if empty.
  const Value lines = CallMethod(
      budget, MakeString(&budget, value.text() + "\n"), "splitlines", {});
  std::string result;
  for (size_t i = 0; i < lines.items().size(); ++i) {
    const std::string& line = lines.items()[i].text();
    if (i > 0) result += '\n';
    if (i > 0 && (blank || !line.empty())) result += indention;
    result += line;
    budget.Check(result.size());
  }
  if (first) result = indention + result;
  return MakeString(&budget, std::move(result), safe);
}

Value Truncate(Evaluator& evaluator, const Value& value,
               const CallArguments& arguments) {
  const Bound bound(arguments, "truncate",
                    {"length", "killwords", "end", "leeway"});
  Budget& budget = evaluator.budget();
  const Int length = bound.Integer(0, 255);
  const Value end =
      bound.Find(2) == nullptr ? MakeString(&budget, "...") : bound[2];
  const Int end_length = static_cast<Int>(Length(end));
  const Int leeway = bound.Given(3) ? bound.Integer(3, 5) : 5;
  if (length < end_length) FailRun("truncate: the length is too small");
  if (leeway < 0) FailRun("truncate: the leeway is negative");
  if (static_cast<Int>(Length(value)) <= length + leeway) return value;
  Value result = GetSlice(budget, value, Value::None(),
                          Value::Integer(length - end_length), Value::None());
  if (!bound.Bool(1, false)) {
    CallArguments split;
    split.positional = {MakeString(&budget, " "), Value::Integer(1)};
    if (!result.IsString()) FailRun("truncate: the value is no string");
    result = CallMethod(budget, result, "rsplit", split).items()[0];
  }
  return Compute(budget, Operator::kAdd, result, end);
}

std::string UrlQuoted(std::string_view text, bool query) {
  static constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~";
  std::string result;
  for (const char c : text) {
    if (kPlain.find(c) != std::string_view::npos || (!query && c == '/')) {
      result += c;
    } else if (query && c == ' ') {
      result += '+';
    } else {
      const auto byte = static_cast<unsigned char>(c);
      result += '%';
      result += "0123456789ABCDEF"[byte >> 4];
      result += "0123456789ABCDEF"[byte & 15];
    }
  }
  return result;
}

Value UrlEncode(Evaluator& evaluator, const Value& value,
                const CallArguments& arguments) {
  const Bound none(arguments, "urlencode", {});
  Budget& budget = evaluator.budget();
  if (value.IsString() || !IsIterable(value)) {
    return MakeString(&budget, UrlQuoted(Text(budget, value), false));
  }
  std::string result;
  const auto append = [&](const Value& key, const Value& each) {
    if (!result.empty()) result += '&';
    result += UrlQuoted(Text(budget, key), true) + "=" +
              UrlQuoted(Text(budget, each), true);
  };
  if (value.IsDict()) {
    for (const auto& [key, each] : value.As<DictObject>().entries) {
      append(key, each);
    }
  } else {
    for (const Value& item : Elements(budget, value)) {
      const Values pair = Elements(budget, item);
      if (pair.size() != 2) FailRun("urlencode: elements are pairs");
      append(pair[0], pair[1]);
    }
  }
  return MakeString(&budget, std::move(result));
}

Value WordCount(Evaluator& evaluator, const Value& value,
                const CallArguments& arguments) {
  const Bound none(arguments, "wordcount", {});
  Budget& budget = evaluator.budget();
  const std::string text = Text(budget, value);
  budget.Step(text.size() / 8);
  Int count = 0;
  bool inside = false;
  ForEachCharacter(text, [&](char32_t c, std::string_view) {
    const bool word = IsWord(c);
    if (word && !inside) ++count;
    inside = word;
    return true;
  });
  return Value::Integer(count);
}

}  // namespace

Filter FindTextFilter(std::string_view name) {
  static constexpr std::pair<std::string_view, Filter> kFilters[] = {
      {"capitalize", CapitalizeFilter},
      {"center", Center},
      {"e", Escape},
      {"escape", Escape},
      {"forceescape", ForceEscape},
      {"format", Format},
      {"indent", Indent},
      {"lower", LowerFilter},
      {"replace", Replace},
      {"safe", Safe},
      {"string", StringFilter},
      {"title", TitleFilter},
      {"trim", Trim},
      {"truncate", Truncate},
      {"upper", UpperFilter},
      {"urlencode", UrlEncode},
      {"wordcount", WordCount},
  };
  for (const auto& [each, filter] : kFilters) {
    if (each == name) return filter;
  }
  return nullptr;
}

}  // namespace lutra::chat
