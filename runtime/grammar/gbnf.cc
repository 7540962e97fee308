#include "runtime/grammar/gbnf.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lutra/runtime/error.h"
#include "runtime/base/printable.h"
#include "runtime/base/utf8.h"
#include "runtime/grammar/left_recursion.h"
#include "runtime/grammar/rule_builder.h"
#include "runtime/grammar/text_cursor.h"

namespace lutra::grammar {
namespace {

constexpr size_t kMaxText = size_t{1} << 24;
// Groups within each other; the parser calls itself for each.
constexpr size_t kMaxDepth = 200;

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') || c == '-' || c == '_';
}

class GbnfParser : private TextCursor {
 public:
  explicit GbnfParser(std::string_view text) : TextCursor(text) {
    if (text.size() > kMaxText) {
      throw Error("grammar: is longer than 16 MiB");
    }
    if (!IsUtf8(text)) throw Error("grammar: is not UTF-8");
  }

  Rules Parse() {
    SkipSpace(/*lines=*/true);
    while (!AtEnd()) ParseRule();
    const auto root = names_.find("root");
    if (root == names_.end() || !builder_.HasAlternatives(root->second.rule)) {
      throw Error("grammar: there is no rule 'root'");
    }
    for (const auto& [name, named] : names_) {
      if (!builder_.HasAlternatives(named.rule)) {
        FailAt(named.line, "there is no rule '" + std::string(name) + "'");
      }
    }
    if (const auto rule = LeftRecursion(builder_.rules())) FailRecursion(*rule);
    return builder_.Take(root->second.rule);
  }

 private:
  struct Named {
    uint32_t rule;
    size_t line;  // of its first mention
  };

  [[noreturn]] static void FailAt(size_t line, const std::string& cause) {
    throw Error("grammar: line " + std::to_string(line) + ": " + cause);
  }
  [[noreturn]] void Fail(const std::string& cause) const {
    FailAt(Line(), cause);
  }
  [[noreturn]] void FailHere(const std::string& wanted) const {
    if (AtEnd()) Fail("the grammar ends where " + wanted + " is expected");
    Fail(wanted + " is expected, there is '" + Printable(PeekCharacter()) +
         "'");
  }
  [[noreturn]] void FailRecursion(uint32_t rule) const {
    uint32_t named = rule;
    const auto is_named = [&named](const auto& each) {
      return each.second.rule == named;
    };
    auto found = std::find_if(names_.begin(), names_.end(), is_named);
    if (found == names_.end()) {
      // Unnamed rules were made while the named one before them was read.
      const auto owner =
          std::find_if(owners_.rbegin(), owners_.rend(),
                       [rule](const auto& each) { return each.first <= rule; });
      named = owner->second;
      found = std::find_if(names_.begin(), names_.end(), is_named);
    }
    FailAt(found->second.line,
           "rule '" + std::string(found->first) +
               "' can begin with itself (left recursion); write what follows "
               "as a repetition");
  }

  size_t Line() const {
    const std::string_view before = text().substr(0, position());
    return 1 +
           static_cast<size_t>(std::count(before.begin(), before.end(), '\n'));
  }

  void SkipSpace(bool lines) {
    while (!AtEnd()) {
      const char c = Peek();
      if (c == '#') {
        MoveTo(std::min(text().find('\n', position()), text().size()));
      } else if (c == ' ' || c == '\t' || (lines && (c == '\n' || c == '\r'))) {
        MoveTo(position() + 1);
      } else {
        return;
      }
    }
  }

  // Within a rule a line may end before "|" too.
  void SkipToNext(bool nested) {
    SkipSpace(nested);
    if (nested) return;
    const size_t before = position();
    SkipSpace(/*lines=*/true);
    if (Peek() != '|') MoveTo(before);
  }

  std::string_view Name() {
    const std::string_view rest = Rest();
    size_t length = 0;
    while (length < rest.size() && IsNameCharacter(rest[length])) ++length;
    if (length == 0) FailHere("a rule's name");
    MoveTo(position() + length);
    return rest.substr(0, length);
  }

  uint32_t RuleOf(std::string_view name) {
    const auto found = names_.find(name);
    if (found != names_.end()) return found->second.rule;
    const uint32_t rule = builder_.NewRule();
    names_.emplace(name, Named{rule, Line()});
    return rule;
  }

  void ParseRule() {
    const std::string_view name = Name();
    const uint32_t rule = RuleOf(name);
    if (builder_.HasAlternatives(rule)) {
      Fail("rule '" + std::string(name) + "' stands here a second time");
    }
    owners_.emplace_back(static_cast<uint32_t>(builder_.rules().rules.size()),
                         rule);
    SkipSpace(/*lines=*/false);
    if (!Take("::=")) FailHere("'::='");
    SkipSpace(/*lines=*/true);
    ParseAlternatives(rule, /*depth=*/0);
    SkipSpace(/*lines=*/false);
    if (!AtEnd() && Peek() != '\n' && Peek() != '\r') {
      FailHere("the end of the line");
    }
    SkipSpace(/*lines=*/true);
  }

  void ParseAlternatives(uint32_t rule, size_t depth) {
    do {
      SkipSpace(/*lines=*/true);
      builder_.AddAlternative(rule, ParseSequence(depth));
    } while (Take("|"));
  }

  Sequence ParseSequence(size_t depth) {
    Sequence sequence;
    while (true) {
      // The item that the next operator repeats.
      Sequence item;
      if (!ParseItem(depth, item)) return sequence;
      SkipToNext(depth > 0);
      while (const auto times = ParseTimes()) {
        item = builder_.Repeated(item, times->first, times->second);
        SkipToNext(depth > 0);
      }
      sequence.insert(sequence.end(), item.begin(), item.end());
      if (sequence.size() >= kMaxSymbols) Fail("the rule is too large");
    }
  }

  // False where an alternative ends.
  bool ParseItem(size_t depth, Sequence& item) {
    const char c = Peek();
    if (Take("\"")) {
      ParseLiteral(item);
    } else if (Take("[")) {
      item = {ParseClass()};
    } else if (Take(".")) {
      item = {builder_.Characters({{0, kLastCodePoint}})};
    } else if (Take("(")) {
      if (depth == kMaxDepth) Fail("groups are nested too deeply");
      const uint32_t rule = builder_.NewRule();
      ParseAlternatives(rule, depth + 1);
      if (!Take(")")) FailHere("')'");
      item = {OfRule(rule)};
    } else if (IsNameCharacter(c)) {
      item = {OfRule(RuleOf(Name()))};
    } else if (c == '<' || c == '!') {
      Fail("tokens (<...>) are not supported, only their text");
    } else {
      return false;
    }
    return true;
  }

  void ParseLiteral(Sequence& item) {
    std::string bytes;
    while (!Take("\"")) {
      if (AtEnd()) Fail("a text has no closing '\"'");
      AppendUtf8(ParseCharacter(), bytes);
    }
    for (const char byte : bytes) {
      item.push_back(
          OfBytes(static_cast<uint8_t>(byte), static_cast<uint8_t>(byte)));
    }
  }

  Symbol ParseClass() {
    const bool others = Take("^");
    std::vector<CodePoints> ranges;
    while (!Take("]")) {
      if (AtEnd()) Fail("a class of characters has no closing ']'");
      const char32_t first = ParseCharacter();
      char32_t last = first;
      if (Peek() == '-' && !Rest().starts_with("-]")) {
        Take("-");
        if (AtEnd()) Fail("a class of characters has no closing ']'");
        last = ParseCharacter();
        if (last < first) Fail("a range of characters ends before it begins");
      }
      ranges.emplace_back(first, last);
    }
    if (others) ranges = Complement(ranges);
    if (ranges.empty()) Fail("a class of characters is empty");
    return builder_.Characters(ranges);
  }

  char32_t ParseCharacter() {
    if (!Take("\\")) return TakeCharacter();
    constexpr const char* kEscapes = "one of n r t x u U \" \\ [ ] - ^";
    if (AtEnd()) FailHere(kEscapes);
    const char c = Peek();
    MoveTo(position() + 1);
    switch (c) {
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 't':
        return '\t';
      case 'x':
        return Hexadecimal(2);
      case 'u':
        return Hexadecimal(4);
      case 'U':
        return Hexadecimal(8);
      case '"':
      case '\\':
      case '[':
      case ']':
      case '-':
      case '^':
        return static_cast<unsigned char>(c);
      default:
        MoveTo(position() - 1);
        FailHere(kEscapes);
    }
  }

  char32_t Hexadecimal(size_t digits) {
    const std::optional<char32_t> value = TakeHexadecimal(digits);
    if (!value) FailHere("a hexadecimal digit");
    if (*value > kLastCodePoint || (*value >= 0xD800 && *value <= 0xDFFF)) {
      Fail("an escape is no character");
    }
    return *value;
  }

  std::optional<std::pair<size_t, size_t>> ParseTimes() {
    if (Take("*")) return std::pair(size_t{0}, RuleBuilder::kUnlimited);
    if (Take("+")) return std::pair(size_t{1}, RuleBuilder::kUnlimited);
    if (Take("?")) return std::pair(size_t{0}, size_t{1});
    if (!Take("{")) return std::nullopt;
    SkipSpace(/*lines=*/false);
    const size_t least = Peek() == ',' ? 0 : Number();
    size_t most = least;
    SkipSpace(/*lines=*/false);
    if (Take(",")) {
      SkipSpace(/*lines=*/false);
      most = Peek() == '}' ? RuleBuilder::kUnlimited : Number();
      SkipSpace(/*lines=*/false);
    }
    if (!Take("}")) FailHere("'}'");
    if (most < least) Fail("a repetition ends before it begins");
    return std::pair(least, most);
  }

  size_t Number() {
    const std::optional<size_t> value = TakeNumber(kMaxSymbols);
    if (value) return *value;
    if (Peek() >= '0' && Peek() <= '9') Fail("a repetition is too long");
    FailHere("a number");
  }

  RuleBuilder builder_;
  std::map<std::string_view, Named> names_;
  // From which rule on unnamed rules belong to a named one.
  std::vector<std::pair<uint32_t, uint32_t>> owners_;
};

}  // namespace

Rules ParseGbnf(std::string_view text) { return GbnfParser(text).Parse(); }

}  // namespace lutra::grammar
