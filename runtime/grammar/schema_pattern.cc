#include "runtime/grammar/schema_pattern.h"

#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "lutra/runtime/error.h"
#include "runtime/base/printable.h"
#include "runtime/grammar/gbnf_text.h"
#include "runtime/grammar/text_cursor.h"
#include "runtime/grammar/utf8_ranges.h"

namespace lutra::grammar {
namespace {

constexpr size_t kMaxPatternDepth = 100;
constexpr size_t kMaxTimes = 10'000;

using Set = std::vector<CodePoints>;

const Set& DigitSet() {
  static const Set set = {{'0', '9'}};
  return set;
}
const Set& WordSet() {
  static const Set set = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
  return set;
}
const Set& SpaceSet() {
  static const Set set = {{'\t', '\r'},     {' ', ' '},       {0xA0, 0xA0},
                          {0x1680, 0x1680}, {0x2000, 0x200A}, {0x2028, 0x2029},
                          {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000},
                          {0xFEFF, 0xFEFF}};
  return set;
}
const Set& LineEnds() {
  static const Set set = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};
  return set;
}

Set Without(const Set& set, const Set& others) {
  Set outside = Complement(set);
  outside.insert(outside.end(), others.begin(), others.end());
  return Complement(outside);
}

bool Has(const Set& set, char32_t c) {
  for (const auto& [first, last] : set) {
    if (c >= first && c <= last) return true;
  }
  return false;
}

// A character of the set as it stands in JSON.
std::string Spelled(const Set& set) {
  // What must be escaped: the characters of which JSON has short escapes.
  // Other control characters are left out where anything else is possible.
  constexpr std::pair<char, std::string_view> kEscapes[] = {
      {'"', "\\\""}, {'\\', "\\\\"}, {'\b', "\\b"}, {'\f', "\\f"},
      {'\n', "\\n"}, {'\r', "\\r"},  {'\t', "\\t"}};
  std::vector<std::string> ways;
  const Set plain = Without(set, {{0, 0x1F}, {'"', '"'}, {'\\', '\\'}});
  if (!plain.empty()) ways.push_back(Class(plain));
  for (const auto& [c, spelled] : kEscapes) {
    if (Has(set, static_cast<unsigned char>(c))) {
      ways.push_back(Quoted(spelled));
    }
  }
  if (ways.empty()) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    for (char32_t c = 0; c < 0x20; ++c) {
      if (!Has(set, c)) continue;
      ways.push_back(
          Quoted(std::string("\\u00") + kDigits[c >> 4] + kDigits[c & 15]));
    }
  }
  return ways.empty() ? "" : OneOf(ways);
}

class PatternParser : private TextCursor {
 public:
  PatternParser(std::string_view pattern, std::string_view any,
                const std::string& where)
      : TextCursor(pattern), any_(any), where_(where) {}

  std::string Parse() {
    std::vector<std::string> ways;
    do {
      const bool from_start = Take("^");
      std::string way = ParseSequence(0);
      const bool to_end = Take("$");
      if (!AtEnd() && Peek() != '|') FailHere();
      if (!from_start) way = any_ + "* " + way;
      if (!to_end) way += " " + any_ + "*";
      ways.push_back(way);
    } while (Take("|"));
    return OneOf(ways);
  }

 private:
  [[noreturn]] void Fail(const std::string& cause) const {
    throw Error(ErrorCode::kUnsupported, where_ + ": the regular expression '" +
                                             Printable(text()) + "' " + cause);
  }
  [[noreturn]] void FailHere() const {
    if (AtEnd()) Fail("ends too early");
    Fail("has '" + std::string(PeekCharacter()) + "' where it cannot stand");
  }

  char32_t TakeOne() {
    if (AtEnd()) FailHere();
    return TakeCharacter();
  }

  std::string ParseAlternatives(size_t depth) {
    std::vector<std::string> ways;
    do {
      ways.push_back(ParseSequence(depth));
    } while (Take("|"));
    std::string group = "(";
    group += OneOf(ways);
    group += ')';
    return group;
  }

  std::string ParseSequence(size_t depth) {
    std::string sequence = "\"\"";
    while (!AtEnd() && Peek() != '|' && Peek() != ')' && Peek() != '$') {
      const std::string item = ParseItem(depth);
      sequence += " " + item + ParseTimes();
    }
    return sequence;
  }

  std::string ParseItem(size_t depth) {
    if (Take("(")) {
      if (Take("?")) {
        const bool looks = Rest().starts_with("<=") || Rest().starts_with("<!");
        if (Peek() == '<' && !looks) {
          const size_t end = text().find('>', position());
          if (end == std::string_view::npos) Fail("has a group without a name");
          MoveTo(end + 1);
        } else if (!Take(":")) {
          Fail("looks ahead or back, or sets flags, which is not supported");
        }
      }
      if (depth == kMaxPatternDepth) Fail("is nested too deeply");
      const std::string group = ParseAlternatives(depth + 1);
      if (!Take(")")) FailHere();
      return group;
    }
    const char c = Peek();
    if (c == '^' || c == '*' || c == '+' || c == '?' || c == '{' || c == '}' ||
        c == ']') {
      FailHere();
    }
    Set set;
    if (Take("[")) {
      set = ParseClass();
    } else if (Take(".")) {
      set = Complement(LineEnds());
    } else if (Take("\\")) {
      set = ParseEscape();
    } else {
      const char32_t one = TakeOne();
      set = {{one, one}};
    }
    const std::string spelled = Spelled(set);
    if (spelled.empty()) Fail("has a class that no character is in");
    return spelled;
  }

  Set ParseClass() {
    const bool others = Take("^");
    Set set;
    while (!Take("]")) {
      const Set first = ParseMember();
      const bool is_range = Peek() == '-' && !Rest().starts_with("-]") &&
                            first.size() == 1 &&
                            first[0].first == first[0].second;
      if (!is_range) {
        set.insert(set.end(), first.begin(), first.end());
        continue;
      }
      Take("-");
      const Set last = ParseMember();
      if (last.size() != 1 || last[0].first != last[0].second ||
          last[0].first < first[0].first) {
        Fail("has a range that is none");
      }
      set.emplace_back(first[0].first, last[0].first);
    }
    return others ? Complement(set) : Normalized(set);
  }

  Set ParseMember() {
    if (Take("\\")) {
      if (Take("b")) return {{'\b', '\b'}};
      if (Take("-")) return {{'-', '-'}};
      return ParseEscape();
    }
    const char32_t c = TakeOne();
    return {{c, c}};
  }

  Set ParseEscape() {
    const char32_t c = TakeOne();
    switch (c) {
      case 'd':
        return DigitSet();
      case 'D':
        return Complement(DigitSet());
      case 'w':
        return WordSet();
      case 'W':
        return Complement(WordSet());
      case 's':
        return SpaceSet();
      case 'S':
        return Complement(SpaceSet());
      case 'n':
        return {{'\n', '\n'}};
      case 'r':
        return {{'\r', '\r'}};
      case 't':
        return {{'\t', '\t'}};
      case 'f':
        return {{'\f', '\f'}};
      case 'v':
        return {{'\v', '\v'}};
      case 'x':
        return Hexadecimal(2);
      case 'u':
        return Hexadecimal(4);
      default:
        break;
    }
    const bool is_letter = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                           (c >= 'A' && c <= 'Z');
    if (is_letter) {
      Fail(std::string("has '\\") + static_cast<char>(c) +
           "', which is not supported");
    }
    return {{c, c}};
  }

  Set Hexadecimal(size_t digits) {
    const std::optional<char32_t> value = TakeHexadecimal(digits);
    if (!value) Fail("has an escape without its digits");
    return {{*value, *value}};
  }

  // Lazy or not is the same for a grammar.
  std::string ParseTimes() {
    std::string times;
    if (Take("*")) {
      times = "*";
    } else if (Take("+")) {
      times = "+";
    } else if (Take("?")) {
      times = "?";
    } else if (Take("{")) {
      const size_t least = ParseNumber();
      std::optional<size_t> most = least;
      if (Take(",")) {
        most.reset();
        if (Peek() != '}') most = ParseNumber();
      }
      if (!Take("}")) FailHere();
      if (most && *most < least) Fail("has a repetition that is none");
      times = Times(least, most ? &*most : nullptr);
    } else {
      return "";
    }
    Take("?");
    return times;
  }

  size_t ParseNumber() {
    const std::optional<size_t> value = TakeNumber(kMaxTimes);
    if (value) return *value;
    if (Peek() >= '0' && Peek() <= '9')
      Fail("has a repetition that is too long");
    FailHere();
  }

  std::string any_;
  std::string where_;
};

}  // namespace

std::string PatternToGbnf(std::string_view pattern, std::string_view any,
                          const std::string& where) {
  return PatternParser(pattern, any, where).Parse();
}

}  // namespace lutra::grammar
