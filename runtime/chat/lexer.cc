#include "runtime/chat/lexer.h"

#include <algorithm>

#include "runtime/base/printable.h"
#include "runtime/base/utf8.h"
#include "runtime/chat/budget.h"
#include "runtime/chat/characters.h"

namespace lutra::chat {
namespace {

bool IsAsciiDigit(char c) { return c >= '0' && c <= '9'; }

// The end of digits with single underscores between them, from `at`; `at` if
// there are none.
template <class IsDigitHere>
size_t EndOfDigits(std::string_view text, size_t at, const IsDigitHere& digit) {
  size_t end = at;
  while (end < text.size()) {
    if (digit(text[end])) {
      ++end;
    } else if (text[end] == '_' && end > at && end + 1 < text.size() &&
               digit(text[end + 1])) {
      end += 2;
    } else {
      break;
    }
  }
  return end;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  std::vector<Token> Run() {
    while (at_ < source_.size()) Root();
    Add(TokenKind::kEnd, {});
    return std::move(tokens_);
  }

 private:
  std::string_view Rest() const { return source_.substr(at_); }
  bool Starts(std::string_view text) const {
    return Rest().substr(0, text.size()) == text;
  }
  void Add(TokenKind kind, std::string_view text) {
    tokens_.push_back({kind, static_cast<uint32_t>(line_), text});
  }
  void Advance(size_t to) {
    line_ += static_cast<size_t>(
        std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                   source_.begin() + static_cast<std::ptrdiff_t>(to), '\n'));
    line_start_ = to > at_ && source_[to - 1] == '\n';
    at_ = to;
  }
  size_t SkipSpace(size_t at) const {
    return source_.size() - StripLeft(source_.substr(at)).size();
  }

  // Text up to a tag, and the tag.
  void Root() {
    size_t tag = at_;
    for (;; ++tag) {
      tag = source_.find('{', tag);
      if (tag == std::string_view::npos || tag + 1 >= source_.size()) {
        Add(TokenKind::kData, Rest());
        at_ = source_.size();
        return;
      }
      const char next = source_[tag + 1];
      if (next == '{' || next == '%' || next == '#') break;
    }
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    const bool marked = sign == '-' || sign == '+';
    const char kind = source_[tag + 1];
    AddData(tag, sign, kind == '{');
    const size_t raw = kind == '%' ? EndOfRawTag(tag, "raw", false) : 0;
    if (raw != 0) {
      Advance(raw);
      Raw();
      return;
    }
    Advance(tag + (marked ? 3 : 2));
    if (kind == '#') {
      Comment();
    } else {
      Code(kind == '{');
    }
  }

  // The text before a tag, with white space stripped as the tag asks for.
  void AddData(size_t tag, char sign, bool variable) {
    std::string_view text = source_.substr(at_, tag - at_);
    if (sign == '-') {
      text = StripRight(text);
    } else if (sign != '+' && !variable) {
      const size_t newline = text.rfind('\n');
      const size_t begin = newline == std::string_view::npos ? 0 : newline + 1;
      if ((begin > 0 || line_start_) && StripLeft(text.substr(begin)).empty()) {
        text = text.substr(0, begin);
      }
    }
    if (!text.empty()) Add(TokenKind::kData, text);
    Advance(tag);
  }

  // Behind "{% word %}" at `at`, 0 if that is something else.
  size_t EndOfRawTag(size_t at, std::string_view word, bool trims) const {
    at += 2;
    if (at < source_.size() && (source_[at] == '-' || source_[at] == '+')) ++at;
    at = SkipSpace(at);
    if (source_.substr(at, word.size()) != word) return 0;
    at = SkipSpace(at + word.size());
    if (trims && source_.substr(at, 3) == "+%}") return at + 3;
    if (source_.substr(at, 3) == "-%}") return SkipSpace(at + 3);
    if (source_.substr(at, 2) != "%}") return 0;
    at += 2;
    return trims && at < source_.size() && source_[at] == '\n' ? at + 1 : at;
  }

  void Raw() {
    for (size_t tag = at_;; tag += 2) {
      tag = source_.find("{%", tag);
      if (tag == std::string_view::npos) {
        FailParse(line_, "Missing end of raw directive");
      }
      const size_t end = EndOfRawTag(tag, "endraw", true);
      if (end == 0) continue;
      AddData(tag, source_[tag + 2], false);
      Advance(end);
      return;
    }
  }

  void Comment() {
    const size_t end = source_.find("#}", at_);
    if (end == std::string_view::npos) {
      FailParse(line_, "Missing end of comment tag");
    }
    const char sign = end > at_ ? source_[end - 1] : '\0';
    if (sign == '-') {
      Advance(SkipSpace(end + 2));
    } else {
      const bool newline =
          sign != '+' && end + 2 < source_.size() && source_[end + 2] == '\n';
      Advance(end + (newline ? 3 : 2));
    }
  }

  void Code(bool variable) {
    Add(variable ? TokenKind::kVariableBegin : TokenKind::kBlockBegin, {});
    std::string open;  // brackets that are to be closed
    while (at_ < source_.size()) {
      if (open.empty() && EndOfCode(variable)) return;
      const size_t after_space = SkipSpace(at_);
      if (after_space != at_) {
        Advance(after_space);
        continue;
      }
      NextToken(open);
    }
    // The parser says what is missing.
  }

  bool EndOfCode(bool variable) {
    const std::string_view close = variable ? "}}" : "%}";
    const TokenKind kind =
        variable ? TokenKind::kVariableEnd : TokenKind::kBlockEnd;
    const bool minus = Starts("-") && Rest().substr(1, 2) == close;
    const bool plus = !variable && Starts("+") && Rest().substr(1, 2) == close;
    if (!minus && !plus && Rest().substr(0, 2) != close) return false;
    Add(kind, {});
    if (minus) {
      Advance(SkipSpace(at_ + 3));
    } else if (plus) {
      Advance(at_ + 3);
    } else {
      const bool newline =
          !variable && at_ + 2 < source_.size() && source_[at_ + 2] == '\n';
      Advance(at_ + (newline ? 3 : 2));
    }
    return true;
  }

  void NextToken(std::string& open) {
    const char c = source_[at_];
    if (IsAsciiDigit(c)) {
      Number();
    } else if (c == '"' || c == '\'') {
      String(c);
    } else if (const size_t name = EndOfName(); name != at_) {
      Take(TokenKind::kName, name);
    } else {
      OperatorToken(open);
    }
  }

  void Take(TokenKind kind, size_t end) {
    Add(kind, source_.substr(at_, end - at_));
    Advance(end);
  }

  size_t EndOfName() const {
    size_t end = at_;
    bool good = true;
    ForEachCharacter(Rest(), [&](char32_t character, std::string_view bytes) {
      if (!IsWord(character) && !ContinuesName(character)) return false;
      good = good &&
             (end == at_ ? BeginsName(character) : ContinuesName(character));
      end += bytes.size();
      return true;
    });
    if (!good) FailParse(line_, "Invalid character in identifier");
    return end;
  }

  void Number() {
    const auto digits = [this](size_t at) {
      return EndOfDigits(source_, at, IsAsciiDigit);
    };
    const size_t whole = digits(at_);
    size_t end = whole;
    if (at_ == 0 || source_[at_ - 1] != '.') {
      if (end + 1 < source_.size() && source_[end] == '.' &&
          IsAsciiDigit(source_[end + 1])) {
        end = digits(end + 1);
      }
      if (end < source_.size() && (source_[end] | 0x20) == 'e') {
        size_t exponent = end + 1;
        if (exponent < source_.size() &&
            (source_[exponent] == '+' || source_[exponent] == '-')) {
          ++exponent;
        }
        const size_t after = digits(exponent);
        if (after != exponent) end = after;
      }
      if (end != whole) {
        Take(TokenKind::kFloat, end);
        return;
      }
    }
    Take(TokenKind::kInteger, EndOfInteger(whole));
  }

  size_t EndOfInteger(size_t decimal) const {
    if (source_[at_] != '0') return decimal;
    const char mark = at_ + 1 < source_.size()
                          ? static_cast<char>(source_[at_ + 1] | 0x20)
                          : '\0';
    const auto marked = [this](const auto& digit) {
      size_t begin = at_ + 2;
      if (begin < source_.size() && source_[begin] == '_') ++begin;
      const size_t end = EndOfDigits(source_, begin, digit);
      return end == begin ? at_ : end;
    };
    size_t end = at_;
    if (mark == 'b') {
      end = marked([](char c) { return c == '0' || c == '1'; });
    } else if (mark == 'o') {
      end = marked([](char c) { return c >= '0' && c <= '7'; });
    } else if (mark == 'x') {
      end = marked([](char c) {
        return IsAsciiDigit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
      });
    }
    if (end != at_) return end;
    return EndOfDigits(source_, at_, [](char c) { return c == '0'; });
  }

  void String(char quote) {
    for (size_t end = at_ + 1; end < source_.size(); ++end) {
      if (source_[end] == '\\') {
        ++end;
      } else if (source_[end] == quote) {
        Take(TokenKind::kString, end + 1);
        return;
      }
    }
    FailCharacter();
  }

  void OperatorToken(std::string& open) {
    static constexpr std::string_view kLong[] = {
        "//", "**", "==", "!=", ">=", "<="};
    for (const std::string_view text : kLong) {
      if (Starts(text)) {
        Take(TokenKind::kOperator, at_ + 2);
        return;
      }
    }
    static constexpr std::string_view kShort = "+-/*%~[](){}><=.:|,;";
    const char c = source_[at_];
    if (kShort.find(c) == std::string_view::npos) FailCharacter();
    switch (c) {
      case '(':
        open += ')';
        break;
      case '[':
        open += ']';
        break;
      case '{':
        open += '}';
        break;
      case ')':
      case ']':
      case '}':
        if (open.empty()) {
          FailParse(line_, std::string("unexpected '") + c + "'");
        }
        if (open.back() != c) {
          FailParse(line_, std::string("unexpected '") + c + "', expected '" +
                               open.back() + "'");
        }
        open.pop_back();
        break;
      default:
        break;
    }
    Take(TokenKind::kOperator, at_ + 1);
  }

  [[noreturn]] void FailCharacter() const {
    const std::string_view rest = Rest();
    FailParse(line_, "unexpected character '" +
                         Printable(rest.substr(0, ReadUtf8(rest).bytes)) + "'");
  }

  std::string_view source_;
  size_t at_ = 0;
  size_t line_ = 1;
  bool line_start_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

void FailParse(size_t line, const std::string& cause) {
  Fail(ChatTemplateFault::kParse,
       "chat template: line " + std::to_string(line) + ": " + cause);
}

std::string NormalizeSource(std::string_view source) {
  std::string result;
  result.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      result += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      result += source[i];
    }
  }
  if (!result.empty() && result.back() == '\n') result.pop_back();
  return result;
}

std::vector<Token> Tokenize(std::string_view source) {
  return Lexer(source).Run();
}

}  // namespace lutra::chat
