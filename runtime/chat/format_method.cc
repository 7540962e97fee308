// str.format(), as string.Formatter has it.

#include <optional>
#include <utility>

#include "runtime/chat/access.h"
#include "runtime/chat/characters.h"
#include "runtime/chat/format.h"
#include "runtime/chat/methods.h"
#include "runtime/chat/numbers.h"
#include "runtime/chat/text.h"

namespace lutra::chat {
namespace {

class Formatter {
 public:
  Formatter(Budget& budget, bool safe, const CallArguments& arguments,
            const Value* map)
      : budget_(budget), safe_(safe), arguments_(arguments), map_(map) {}

  std::string Run(std::string_view format, int depth) {
    if (depth < 0) FailRun("Max string recursion exceeded");
    std::string result;
    for (size_t at = 0; at < format.size();) {
      const char c = format[at];
      const bool doubled = at + 1 < format.size() && format[at + 1] == c;
      if (c == '}') {
        if (!doubled) FailRun("Single '}' encountered in format string");
        result += '}';
        at += 2;
      } else if (c != '{') {
        result += c;
        ++at;
      } else if (doubled) {
        result += '{';
        at += 2;
      } else {
        const size_t end = EndOfField(format, at + 1);
        result += Field(format.substr(at + 1, end - at - 1), depth);
        at = end + 1;
      }
      budget_.Check(result.size());
    }
    budget_.Step(format.size() / 8 + 1);
    return result;
  }

 private:
  static size_t EndOfField(std::string_view format, size_t at) {
    size_t depth = 1;
    bool brackets = false;
    for (; at < format.size(); ++at) {
      // Within a key braces are text.
      if (format[at] == '[') brackets = true;
      if (format[at] == ']') brackets = false;
      if (brackets) continue;
      if (format[at] == '{') ++depth;
      if (format[at] == '}' && --depth == 0) return at;
    }
    FailRun("expected '}' before end of string");
  }

  std::string Field(std::string_view field, int depth) {
    // name [!conversion] [:spec]; a bracket may hold both marks.
    size_t end = 0;
    bool brackets = false;
    while (end < field.size()) {
      if (field[end] == '[') brackets = true;
      if (field[end] == ']') brackets = false;
      if (!brackets && (field[end] == '!' || field[end] == ':')) break;
      ++end;
    }
    Value value = Lookup(field.substr(0, end));
    std::string_view rest = field.substr(end);
    bool converted = false;
    if (!rest.empty() && rest[0] == '!') {
      if (rest.size() < 2) FailRun("unmatched '{' in format spec");
      value = Convert(value, rest[1]);
      converted = true;
      rest.remove_prefix(2);
      if (!rest.empty() && rest[0] != ':') {
        FailRun("expected ':' after conversion specifier");
      }
    }
    const std::string spec = rest.empty() ? "" : Run(rest.substr(1), depth - 1);
    if (!safe_) return FormatSpec(budget_, value, spec);
    const bool plain = !value.IsString() || !value.As<StringObject>().safe;
    if (!plain && !spec.empty()) {
      FailRun("Unsupported format specification for Markup.");
    }
    const std::string text = FormatSpec(budget_, value, spec);
    return plain || converted ? Escaped(text) : text;
  }

  Value Convert(const Value& value, char conversion) {
    switch (conversion) {
      case 's':
        return MakeString(&budget_, Text(budget_, value));
      case 'r':
        return MakeString(&budget_, Representation(budget_, value));
      default:
        FailRun("Unknown conversion specifier");
    }
  }

  Value Lookup(std::string_view name) {
    const size_t end = std::min(name.find_first_of(".["), name.size());
    Value value = First(name.substr(0, end));
    std::string_view rest = name.substr(end);
    while (!rest.empty()) {
      budget_.Step();
      if (rest[0] == '.') {
        rest.remove_prefix(1);
        const size_t stop = std::min(rest.find_first_of(".["), rest.size());
        if (stop == 0) FailRun("Empty attribute in format string");
        value = GetAttribute(budget_, value, rest.substr(0, stop));
        rest.remove_prefix(stop);
        continue;
      }
      const size_t stop = rest.find(']');
      if (rest[0] != '[' || stop == std::string_view::npos) {
        FailRun("Missing ']' in format string");
      }
      const std::string_view key = rest.substr(1, stop - 1);
      if (key.empty()) FailRun("Empty attribute in format string");
      value = GetItem(budget_, value, Key(key));
      rest.remove_prefix(stop + 1);
    }
    return value;
  }

  static bool IsNumber(std::string_view text) {
    return !text.empty() &&
           text.find_first_not_of("0123456789") == std::string_view::npos;
  }
  Value Key(std::string_view text) {
    if (!IsNumber(text)) return MakeString(&budget_, std::string(text));
    return Value::Integer(ParseInteger(text, 10).value_or(0));
  }

  Value First(std::string_view name) {
    if (name.empty() || IsNumber(name)) {
      if (map_ != nullptr) FailRun("Format string contains positional fields");
      const bool automatic = name.empty();
      if (automatic_ && *automatic_ != automatic) {
        FailRun(
            "cannot switch between manual field specification and automatic "
            "field numbering");
      }
      automatic_ = automatic;
      const Int index =
          automatic ? static_cast<Int>(next_++) : *ParseInteger(name, 10);
      if (index >= static_cast<Int>(arguments_.positional.size())) {
        FailRun("Replacement index out of range for positional args tuple");
      }
      return arguments_.positional[static_cast<size_t>(index)];
    }
    const Value* found = map_ != nullptr ? FindKey(map_->As<DictObject>(), name)
                                         : arguments_.Find(name);
    if (found == nullptr) FailRun("KeyError: " + Quoted(name));
    return *found;
  }

  Budget& budget_;
  const bool safe_;
  const CallArguments& arguments_;
  const Value* map_;
  std::optional<bool> automatic_;
  size_t next_ = 0;
};

}  // namespace

Value FormatString(Budget& budget, const Value& self, bool map,
                   const CallArguments& arguments) {
  const bool safe = self.As<StringObject>().safe;
  const Value* values = nullptr;
  if (map) {
    const Bound bound(arguments, "format_map", {""}, 1);
    if (!bound[0].IsDict()) FailRun("format_map() of what is no dict");
    values = bound.Find(0);
  }
  // Python's limit of nested fields.
  constexpr int kDepth = 2;
  return MakeString(
      &budget,
      Formatter(budget, safe, arguments, values).Run(self.text(), kDepth - 1),
      safe);
}

}  // namespace lutra::chat
