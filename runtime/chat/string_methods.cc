#include <algorithm>
#include <functional>
#include <limits>
#include <optional>

#include "runtime/chat/access.h"
#include "runtime/chat/characters.h"
#include "runtime/chat/methods.h"
#include "runtime/chat/text.h"

namespace lutra::chat {
namespace {

constexpr size_t kAll = std::numeric_limits<size_t>::max();

// One call of a method of `self`.
class StringMethod {
 public:
  StringMethod(Budget& budget, const Value& self, std::string_view name,
               const CallArguments& arguments)
      : budget_(budget),
        self_(self.As<StringObject>()),
        value_(self),
        text_(self.text()),
        name_(name),
        arguments_(arguments) {}

  Value Run() {
    budget_.Step(text_.size() / 8);
    if (auto result = Case()) return *result;
    if (auto result = Question()) return *result;
    if (auto result = Search()) return *result;
    if (auto result = Split()) return *result;
    if (auto result = Strip()) return *result;
    return Pad();
  }

 private:
  Value Make(std::string text) const {
    return MakeString(&budget_, std::move(text), self_.safe);
  }
  Value Make(std::string_view text) const { return Make(std::string(text)); }
  // What Markup escapes before it takes it in.
  std::string Foreign(const Value& value) const {
    return self_.safe && !value.As<StringObject>().safe ? Escaped(value.text())
                                                        : value.text();
  }
  Bound Bind(std::initializer_list<std::string_view> names,
             size_t required = 0) const {
    return Bound(arguments_, name_, names, required);
  }
  void TakesNothing() const { Bind({}); }

  std::optional<Value> Case() const {
    using Change = std::string (*)(std::string_view);
    static constexpr std::pair<std::string_view, Change> kChanges[] = {
        {"upper", Upper},           {"lower", Lower},   {"title", Title},
        {"capitalize", Capitalize}, {"casefold", Fold}, {"swapcase", SwapCase}};
    for (const auto& [name, change] : kChanges) {
      if (name_ != name) continue;
      TakesNothing();
      return Make(change(text_));
    }
    return std::nullopt;
  }

  template <class Holds>
  Value All(const Holds& holds, bool empty = false) const {
    TakesNothing();
    if (text_.empty()) return Value::Bool(empty);
    bool all = true;
    ForEachCharacter(text_, [&](char32_t c, std::string_view) {
      all = holds(c);
      return all;
    });
    return Value::Bool(all);
  }

  // isupper(): some character has that case, and none has another.
  template <class This, class Other>
  Value Cased(const This& is_this, const Other& is_other) const {
    TakesNothing();
    bool any = false;
    bool none_other = true;
    ForEachCharacter(text_, [&](char32_t c, std::string_view) {
      any = any || is_this(c);
      none_other = !is_other(c);
      return none_other;
    });
    return Value::Bool(any && none_other);
  }

  Value IsTitle() const {
    TakesNothing();
    bool any = false;
    bool inside = false;
    bool good = true;
    ForEachCharacter(text_, [&](char32_t c, std::string_view) {
      if (IsUpperCase(c) || IsTitleCase(c)) {
        good = !inside;
        inside = any = true;
      } else if (IsLowerCase(c)) {
        good = inside;
        inside = any = true;
      } else {
        inside = false;
      }
      return good;
    });
    return Value::Bool(good && any);
  }

  Value IsIdentifier() const {
    bool first = true;
    return All([&first](char32_t c) {
      return std::exchange(first, false) ? BeginsName(c) : ContinuesName(c);
    });
  }

  std::optional<Value> Question() const {
    if (name_.substr(0, 2) != "is") return std::nullopt;
    if (name_ == "isalpha") return All(IsAlpha);
    if (name_ == "isdecimal") return All(IsDecimal);
    if (name_ == "isdigit") return All(IsDigit);
    if (name_ == "isnumeric") return All(IsNumeric);
    if (name_ == "isspace") return All(IsSpace);
    if (name_ == "isprintable") return All(IsPrintableCharacter, true);
    if (name_ == "isascii") {
      return All([](char32_t c) { return c < 0x80; }, true);
    }
    if (name_ == "isalnum") {
      return All([](char32_t c) { return IsAlpha(c) || IsNumeric(c); });
    }
    if (name_ == "islower") {
      return Cased(IsLowerCase,
                   [](char32_t c) { return IsUpperCase(c) || IsTitleCase(c); });
    }
    if (name_ == "isupper") {
      return Cased(IsUpperCase,
                   [](char32_t c) { return IsLowerCase(c) || IsTitleCase(c); });
    }
    if (name_ == "istitle") return IsTitle();
    return IsIdentifier();
  }

  // The part of the text that the arguments from `index` on leave, and where
  // it begins, in code points; nothing if it begins behind its end.
  struct Window {
    std::string_view text;
    size_t begin = 0;
    bool valid = true;
  };
  Window Limit(const Bound& bound, size_t index) const {
    const Int length = static_cast<Int>(self_.length);
    const auto place = [&](size_t i, Int otherwise) {
      if (!bound.Given(i)) return otherwise;
      Int at = bound.Integer(i, otherwise);
      if (at < 0) at = std::max<Int>(at + length, 0);
      return at;
    };
    const Int begin = place(index, 0);
    const Int end = std::min(place(index + 1, length), length);
    if (begin > end) return {{}, 0, false};
    const auto first = static_cast<size_t>(begin);
    return {Substring(self_, first, static_cast<size_t>(end)), first, true};
  }

  static size_t CountCharacters(std::string_view text) {
    size_t count = 0;
    for (const char c : text) {
      count += (static_cast<unsigned char>(c) & 0xC0u) != 0x80u ? 1 : 0;
    }
    return count;
  }

  Value Find(bool last, bool must) const {
    const Bound bound = Bind({"", "", ""}, 1);
    const std::string& wanted = bound.String(0);
    const Window window = Limit(bound, 1);
    const size_t at = !window.valid ? std::string_view::npos
                      : last        ? window.text.rfind(wanted)
                                    : window.text.find(wanted);
    if (at == std::string_view::npos) {
      if (must) FailRun("substring not found");
      return Value::Integer(-1);
    }
    return Value::Integer(static_cast<Int>(
        window.begin + CountCharacters(window.text.substr(0, at))));
  }

  Value Count() const {
    const Bound bound = Bind({"", "", ""}, 1);
    const std::string& wanted = bound.String(0);
    const Window window = Limit(bound, 1);
    if (!window.valid) return Value::Integer(0);
    if (wanted.empty()) {
      return Value::Integer(static_cast<Int>(CountCharacters(window.text) + 1));
    }
    Int count = 0;
    for (size_t at = window.text.find(wanted); at != std::string_view::npos;
         at = window.text.find(wanted, at + wanted.size())) {
      ++count;
    }
    return Value::Integer(count);
  }

  Value Affix(bool start) const {
    const Bound bound = Bind({"", "", ""}, 1);
    const Window window = Limit(bound, 1);
    const auto holds = [&](const Value& affix) {
      if (!affix.IsString()) {
        RequireDefined(affix);
        FailRun(std::string(name_) +
                " first arg must be str or a tuple of str, not " +
                TypeName(affix));
      }
      const std::string_view wanted = affix.text();
      if (!window.valid || wanted.size() > window.text.size()) return false;
      return (start ? window.text.substr(0, wanted.size())
                    : window.text.substr(window.text.size() - wanted.size())) ==
             wanted;
    };
    if (!bound[0].Is(Kind::kTuple)) return Value::Bool(holds(bound[0]));
    for (const Value& item : bound[0].items()) {
      if (holds(item)) return Value::Bool(true);
    }
    return Value::Bool(false);
  }

  std::optional<Value> Search() const {
    if (name_ == "find") return Find(false, false);
    if (name_ == "rfind") return Find(true, false);
    if (name_ == "index") return Find(false, true);
    if (name_ == "rindex") return Find(true, true);
    if (name_ == "count") return Count();
    if (name_ == "startswith") return Affix(true);
    if (name_ == "endswith") return Affix(false);
    return std::nullopt;
  }

  // ---- Parts

  Value List(const std::vector<std::string_view>& parts,
             Kind kind = Kind::kList) const {
    Values items;
    items.reserve(parts.size());
    for (const std::string_view part : parts) items.push_back(Make(part));
    return MakeList(budget_, std::move(items), kind);
  }

  static size_t Most(const Bound& bound, size_t index) {
    const Int most = bound.Integer(index, -1);
    return most < 0 || most > static_cast<Int>(kAll)
               ? kAll
               : static_cast<size_t>(most);
  }

  static std::vector<std::string_view> SplitSpace(std::string_view rest,
                                                  size_t most) {
    std::vector<std::string_view> parts;
    rest = StripLeft(rest);
    while (!rest.empty()) {
      if (parts.size() == most) {
        parts.push_back(StripRight(rest));
        break;
      }
      size_t end = 0;
      ForEachCharacter(rest, [&](char32_t c, std::string_view bytes) {
        if (IsSpace(c)) return false;
        end += bytes.size();
        return true;
      });
      parts.push_back(rest.substr(0, end));
      rest = StripLeft(rest.substr(end));
    }
    return parts;
  }

  static std::vector<std::string_view> SplitSpaceRight(std::string_view rest,
                                                       size_t most) {
    std::vector<std::string_view> parts;
    const std::vector<std::string_view> words = SplitSpace(rest, kAll);
    if (words.size() <= most) return words;
    const size_t kept = words.size() - most;
    if (kept > 0) {
      const char* begin = StripLeft(rest).data();
      const std::string_view last = words[kept - 1];
      parts.emplace_back(
          begin, static_cast<size_t>(last.data() + last.size() - begin));
    }
    parts.insert(parts.end(), words.begin() + static_cast<std::ptrdiff_t>(kept),
                 words.end());
    return parts;
  }

  Value SplitAt(bool right) const {
    const Bound bound = Bind({"sep", "maxsplit"});
    const size_t most = Most(bound, 1);
    if (!bound.Given(0)) {
      return List(right ? SplitSpaceRight(text_, most)
                        : SplitSpace(text_, most));
    }
    const std::string& separator = bound.String(0);
    if (separator.empty()) FailRun("empty separator");
    std::vector<std::string_view> parts;
    std::string_view rest = text_;
    while (parts.size() < most) {
      const size_t at = right ? rest.rfind(separator) : rest.find(separator);
      if (at == std::string_view::npos) break;
      budget_.Step();
      if (right) {
        parts.push_back(rest.substr(at + separator.size()));
        rest = rest.substr(0, at);
      } else {
        parts.push_back(rest.substr(0, at));
        rest = rest.substr(at + separator.size());
      }
    }
    parts.push_back(rest);
    if (right) std::reverse(parts.begin(), parts.end());
    return List(parts);
  }

  Value SplitLines() const {
    const bool keep = Bind({"keepends"}).Bool(0, false);
    std::vector<std::string_view> lines;
    const std::string_view all = text_;
    size_t begin = 0;
    for (size_t at = 0; at < all.size();) {
      const size_t bytes = ReadUtf8(all.substr(at)).bytes;
      const bool end = IsLineEnd(DecodeUtf8(all.substr(at)));
      size_t next = at + bytes;
      if (end) {
        if (all[at] == '\r' && next < all.size() && all[next] == '\n') ++next;
        lines.push_back(all.substr(begin, (keep ? next : at) - begin));
        begin = next;
      }
      at = next;
    }
    if (begin < all.size()) lines.push_back(all.substr(begin));
    return List(lines);
  }

  Value Partition(bool right) const {
    const Bound bound = Bind({""}, 1);
    const std::string& separator = bound.String(0);
    if (separator.empty()) FailRun("empty separator");
    const std::string_view all = text_;
    const size_t at = right ? all.rfind(separator) : all.find(separator);
    if (at == std::string_view::npos) {
      const std::string_view none;
      return right ? List({none, none, all}, Kind::kTuple)
                   : List({all, none, none}, Kind::kTuple);
    }
    return List({all.substr(0, at), all.substr(at, separator.size()),
                 all.substr(at + separator.size())},
                Kind::kTuple);
  }

  Value Join() const {
    const Bound bound = Bind({""}, 1);
    std::string result;
    bool first = true;
    for (const Value& item : Elements(budget_, bound[0])) {
      if (!first) result += text_;
      first = false;
      if (self_.safe) {
        const Value text = AsString(budget_, item);
        result += Foreign(text);
      } else if (item.IsString()) {
        result += item.text();
      } else {
        FailRun("sequence item: expected str instance, " + TypeName(item) +
                " found");
      }
      budget_.Check(result.size());
    }
    return Make(std::move(result));
  }

  Value Replace() const {
    const Bound bound = Bind({"", "", ""}, 2);
    const std::string& from = bound.String(0);
    bound.String(1);
    const std::string to = Foreign(bound[1]);
    return Make(ReplaceAll(from, to, Most(bound, 2)));
  }

  std::string ReplaceAll(const std::string& from, const std::string& to,
                         size_t most) const {
    std::string result;
    std::string_view rest = text_;
    size_t count = 0;
    const auto append = [&](std::string_view text) {
      result += text;
      budget_.Check(result.size());
    };
    if (from.empty()) {
      // Before each character, and at the end.
      while (count < most) {
        append(to);
        ++count;
        if (rest.empty()) break;
        const size_t bytes = ReadUtf8(rest).bytes;
        append(rest.substr(0, bytes));
        rest.remove_prefix(bytes);
      }
      append(rest);
      return result;
    }
    while (count < most) {
      const size_t at = rest.find(from);
      if (at == std::string_view::npos) break;
      append(rest.substr(0, at));
      append(to);
      rest.remove_prefix(at + from.size());
      ++count;
    }
    append(rest);
    budget_.Step(count);
    return result;
  }

  std::optional<Value> Split() const {
    if (name_ == "split") return SplitAt(false);
    if (name_ == "rsplit") return SplitAt(true);
    if (name_ == "splitlines") return SplitLines();
    if (name_ == "partition") return Partition(false);
    if (name_ == "rpartition") return Partition(true);
    if (name_ == "join") return Join();
    if (name_ == "replace") return Replace();
    if (name_ == "format") {
      return FormatString(budget_, value_, false, arguments_);
    }
    if (name_ == "format_map") {
      return FormatString(budget_, value_, true, arguments_);
    }
    return std::nullopt;
  }

  std::optional<Value> Strip() const {
    const bool left = name_ == "strip" || name_ == "lstrip";
    const bool right = name_ == "strip" || name_ == "rstrip";
    if (left || right) {
      const Bound bound = Bind({""});
      std::string_view text = text_;
      if (bound.Given(0)) {
        const std::string& set = bound.String(0);
        budget_.Step(text.size() * set.size() / 16);
        if (left) text = StripLeft(text, set);
        if (right) text = StripRight(text, set);
      } else {
        if (left) text = StripLeft(text);
        if (right) text = StripRight(text);
      }
      return Make(text);
    }
    const bool prefix = name_ == "removeprefix";
    if (!prefix && name_ != "removesuffix") return std::nullopt;
    const Bound bound = Bind({""}, 1);
    const std::string& affix = bound.String(0);
    std::string_view text = text_;
    if (affix.empty() || affix.size() > text.size()) return Make(text);
    if (prefix && text.substr(0, affix.size()) == affix) {
      text.remove_prefix(affix.size());
    } else if (!prefix && text.substr(text.size() - affix.size()) == affix) {
      text.remove_suffix(affix.size());
    }
    return Make(text);
  }

  // How many characters a width asks for beyond the text's.
  size_t Missing(Int width) const {
    const Int missing = width - static_cast<Int>(self_.length);
    if (missing <= 0) return 0;
    if (missing > (Int{1} << 40)) FailLimit("chat template: too wide a text");
    budget_.Check(static_cast<size_t>(missing) * 4);
    return static_cast<size_t>(missing);
  }

  static std::string Repeat(std::string_view fill, size_t count) {
    std::string result;
    for (size_t i = 0; i < count; ++i) result += fill;
    return result;
  }

  Value ZeroFill() const {
    const size_t missing = Missing(Bind({""}, 1).Integer(0, 0));
    const size_t sign =
        !text_.empty() && (text_[0] == '-' || text_[0] == '+') ? 1 : 0;
    return Make(text_.substr(0, sign) + std::string(missing, '0') +
                text_.substr(sign));
  }

  Value ExpandTabs() const {
    const Int size = Bind({"tabsize"}).Integer(0, 8);
    std::string result;
    Int column = 0;
    ForEachCharacter(text_, [&](char32_t c, std::string_view bytes) {
      if (c == '\t') {
        if (size > 0) {
          if (size > (Int{1} << 40))
            FailLimit("chat template: too wide a text");
          const Int spaces = size - column % size;
          budget_.Check(result.size() + static_cast<size_t>(spaces));
          result.append(static_cast<size_t>(spaces), ' ');
          column += spaces;
        }
      } else {
        result += bytes;
        column = c == '\n' || c == '\r' ? 0 : column + 1;
      }
      return true;
    });
    return Make(std::move(result));
  }

  Value Pad() const {
    if (name_ == "zfill") return ZeroFill();
    if (name_ == "expandtabs") return ExpandTabs();
    const Bound bound = Bind({"", ""}, 1);
    const size_t missing = Missing(bound.Integer(0, 0));
    std::string fill = " ";
    if (bound.Find(1) != nullptr) {
      bound.String(1);
      fill = Foreign(bound[1]);
      if (CountCharacters(fill) != 1) {
        FailRun("The fill character must be exactly one character long");
      }
    }
    size_t left = 0;
    if (name_ == "rjust") left = missing;
    if (name_ == "center") {
      const auto width =
          static_cast<size_t>(std::max<Int>(bound.Integer(0, 0), 0));
      left = missing / 2 + (missing & width & 1);
    }
    return Make(Repeat(fill, left) + text_ + Repeat(fill, missing - left));
  }

  Budget& budget_;
  const StringObject& self_;
  const Value& value_;
  const std::string& text_;
  const std::string_view name_;
  const CallArguments& arguments_;
};

}  // namespace

Value CallStringMethod(Budget& budget, const Value& self, std::string_view name,
                       const CallArguments& arguments) {
  return StringMethod(budget, self, name, arguments).Run();
}

}  // namespace lutra::chat
