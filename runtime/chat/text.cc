#include "runtime/chat/text.h"

#include <cstdio>

#include "runtime/chat/characters.h"
#include "runtime/chat/loop.h"
#include "runtime/chat/macro.h"
#include "runtime/chat/namespace.h"
#include "runtime/chat/numbers.h"

namespace lutra::chat {
namespace {

std::string Hex(const char* prefix, char32_t c, int digits) {
  const std::string text = IntegerText(static_cast<Int>(c), 16);
  const auto width = static_cast<size_t>(digits);
  return prefix +
         std::string(width > text.size() ? width - text.size() : 0, '0') + text;
}

void AppendQuoted(char32_t c, std::string_view bytes, char quote,
                  std::string& result) {
  if (c == '\\' || c == static_cast<char32_t>(quote)) {
    result += '\\';
    result += bytes;
  } else if (c == '\n') {
    result += "\\n";
  } else if (c == '\r') {
    result += "\\r";
  } else if (c == '\t') {
    result += "\\t";
  } else if (IsPrintableCharacter(c)) {
    result += bytes;
  } else if (c <= 0xFF) {
    result += Hex("\\x", c, 2);
  } else if (c <= 0xFFFF) {
    result += Hex("\\u", c, 4);
  } else {
    result += Hex("\\U", c, 8);
  }
}

void Append(Budget& budget, const Value& value, std::string& result);

void AppendItems(Budget& budget, const Values& items, std::string& result) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) result += ", ";
    Append(budget, items[i], result);
  }
}

template <class Entries>
void AppendEntries(Budget& budget, const Entries& entries,
                   std::string& result) {
  result += '{';
  bool first = true;
  for (const auto& [key, value] : entries) {
    if (!first) result += ", ";
    first = false;
    Append(budget, key, result);
    result += ": ";
    Append(budget, value, result);
  }
  result += '}';
}

void AppendRange(const RangeObject& range, std::string& result) {
  result +=
      "range(" + IntegerText(range.start) + ", " + IntegerText(range.stop);
  if (range.step != 1) result += ", " + IntegerText(range.step);
  result += ')';
}

void Append(Budget& budget, const Value& value, std::string& result) {
  const Budget::Nested nested(budget);
  budget.Step();
  budget.Check(result.size());
  switch (value.kind()) {
    case Kind::kUndefined:
      result += "Undefined";
      return;
    case Kind::kNone:
      result += "None";
      return;
    case Kind::kBool:
      result += value.boolean() ? "True" : "False";
      return;
    case Kind::kInt:
      result += IntegerText(value.integer());
      return;
    case Kind::kFloat:
      result += FloatText(value.real());
      return;
    case Kind::kString:
      budget.Step(value.text().size() / 8);
      if (value.As<StringObject>().safe) {
        result += "Markup(" + Quoted(value.text()) + ")";
      } else {
        result += Quoted(value.text());
      }
      return;
    case Kind::kList:
      result += '[';
      AppendItems(budget, value.items(), result);
      result += ']';
      return;
    case Kind::kTuple:
      result += '(';
      AppendItems(budget, value.items(), result);
      result += value.items().size() == 1 ? ",)" : ")";
      return;
    case Kind::kDict:
      AppendEntries(budget, value.As<DictObject>().entries, result);
      return;
    case Kind::kRange:
      AppendRange(value.As<RangeObject>(), result);
      return;
    case Kind::kView:
      result += TypeName(value) + "([";
      AppendItems(budget, Elements(budget, value), result);
      result += "])";
      return;
    case Kind::kNamespace:
      result += "<Namespace ";
      AppendEntries(budget, value.As<NamespaceObject>().entries, result);
      result += '>';
      return;
    case Kind::kLoop:
      result += "<LoopContext " +
                std::to_string(value.As<LoopObject>().index0 + 1) + "/" +
                std::to_string(value.As<LoopObject>().Length()) + ">";
      return;
    case Kind::kMacro: {
      const std::string& name = value.As<MacroObject>().name;
      result += "<Macro " + (name.empty() ? "anonymous" : Quoted(name)) + ">";
      return;
    }
    default:
      // Python's text has the address of the object in it.
      FailRun("chat template: a " + TypeName(value) + " has no text");
  }
}

}  // namespace

std::string Quoted(std::string_view text) {
  const bool double_quotes = text.find('\'') != std::string_view::npos &&
                             text.find('"') == std::string_view::npos;
  const char quote = double_quotes ? '"' : '\'';
  std::string result(1, quote);
  ForEachCharacter(text, [&](char32_t c, std::string_view bytes) {
    AppendQuoted(c, bytes, quote, result);
    return true;
  });
  return result + quote;
}

std::string Escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&#34;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

std::string Representation(Budget& budget, const Value& value) {
  std::string result;
  Append(budget, value, result);
  return result;
}

std::string Text(Budget& budget, const Value& value) {
  if (value.IsString()) return value.text();
  if (value.IsUndefined()) return {};
  return Representation(budget, value);
}

Value AsString(Budget& budget, const Value& value) {
  if (value.IsString()) return value;
  return MakeString(&budget, Text(budget, value));
}

}  // namespace lutra::chat
