#include "runtime/chat/json_text.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "lutra/runtime/error.h"
#include "runtime/base/utf8.h"
#include "runtime/chat/characters.h"
#include "runtime/chat/numbers.h"

namespace lutra::chat {
namespace {

class Writer {
 public:
  Writer(Budget& budget, const JsonStyle& style)
      : budget_(budget), style_(style) {}

  void Write(const Value& value) {
    const Budget::Nested nested(budget_);
    budget_.Step();
    switch (value.kind()) {
      case Kind::kNone:
        Add("null");
        return;
      case Kind::kBool:
        Add(value.boolean() ? "true" : "false");
        return;
      case Kind::kInt:
        Add(IntegerText(value.integer()));
        return;
      case Kind::kFloat:
        Add(Real(value.real()));
        return;
      case Kind::kString:
        String(value.text());
        return;
      case Kind::kList:
      case Kind::kTuple:
        List(value.items());
        return;
      case Kind::kDict:
        Dict(value.As<DictObject>());
        return;
      default:
        FailRun("Object of type " + TypeName(value) +
                " is not JSON serializable");
    }
  }

  std::string Take() { return std::move(text_); }

 private:
  void Add(std::string_view text) {
    text_ += text;
    budget_.Check(text_.size());
  }

  static std::string Real(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
    return FloatText(value);
  }

  void Unit(unsigned unit) {
    static constexpr char kHex[] = "0123456789abcdef";
    text_ += "\\u";
    for (const int shift : {12, 8, 4, 0}) text_ += kHex[(unit >> shift) & 15u];
  }

  void String(const std::string& text) {
    budget_.Step(text.size() / 16);
    text_ += '"';
    ForEachCharacter(text, [&](char32_t c, std::string_view bytes) {
      Character(c, bytes);
      return true;
    });
    text_ += '"';
    budget_.Check(text_.size());
  }

  void Character(char32_t c, std::string_view bytes) {
    static constexpr std::string_view kPlain = "\"\\\b\f\n\r\t";
    static constexpr std::string_view kLetters = "\"\\bfnrt";
    const size_t known =
        c < 0x80 ? kPlain.find(static_cast<char>(c)) : std::string_view::npos;
    if (known != std::string_view::npos) {
      text_ += '\\';
      text_ += kLetters[known];
    } else if (c < 0x20 || (style_.ascii && c >= 0x7F && c <= 0xFFFF)) {
      Unit(static_cast<unsigned>(c));
    } else if (style_.ascii && c > 0xFFFF) {
      const auto rest = static_cast<unsigned>(c - 0x10000);
      Unit(0xD800u + (rest >> 10));
      Unit(0xDC00u + (rest & 0x3FFu));
    } else {
      text_ += bytes;
    }
  }

  void NewLine() {
    if (!style_.lines) return;
    budget_.Check(text_.size() + depth_ * style_.indent.size());
    text_ += '\n';
    for (size_t i = 0; i < depth_; ++i) text_ += style_.indent;
  }

  void List(const Values& items) {
    if (items.empty()) {
      Add("[]");
      return;
    }
    Add("[");
    ++depth_;
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) Add(style_.item_separator);
      NewLine();
      Write(items[i]);
    }
    --depth_;
    NewLine();
    Add("]");
  }

  void Dict(const DictObject& dict) {
    if (dict.entries.empty()) {
      Add("{}");
      return;
    }
    std::vector<const std::pair<Value, Value>*> entries;
    for (const auto& entry : dict.entries) entries.push_back(&entry);
    if (style_.sort_keys) SortKeys(entries);
    Add("{");
    ++depth_;
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i > 0) Add(style_.item_separator);
      NewLine();
      Key(entries[i]->first);
      Add(style_.key_separator);
      Write(entries[i]->second);
    }
    --depth_;
    NewLine();
    Add("}");
  }

  // Few keys, and values without an order: what compares them may throw.
  void SortKeys(std::vector<const std::pair<Value, Value>*>& entries) {
    for (size_t i = 1; i < entries.size(); ++i) {
      for (size_t j = i;
           j > 0 && Less(budget_, entries[j]->first, entries[j - 1]->first);
           --j) {
        std::swap(entries[j], entries[j - 1]);
      }
    }
  }

  void Key(const Value& key) {
    switch (key.kind()) {
      case Kind::kString:
        String(key.text());
        return;
      case Kind::kNone:
        Add("\"null\"");
        return;
      case Kind::kBool:
        Add(key.boolean() ? "\"true\"" : "\"false\"");
        return;
      case Kind::kInt:
        String(IntegerText(key.integer()));
        return;
      case Kind::kFloat:
        String(Real(key.real()));
        return;
      default:
        FailRun("keys must be str, int, float, bool or None, not " +
                TypeName(key));
    }
  }

  Budget& budget_;
  const JsonStyle& style_;
  std::string text_;
  size_t depth_ = 0;
};

// Reads JSON itself, as a library would turn large integers into floats and
// forget the order of keys.
class Reader {
 public:
  Reader(Budget& budget, std::string_view text, std::string_view what)
      : budget_(budget), rest_(text), what_(what) {}

  Value Run() {
    const Value value = Read(0);
    SkipSpace();
    if (!rest_.empty()) FailText("has more behind its end");
    return value;
  }

 private:
  [[noreturn]] void FailText(const std::string& cause) const {
    Fail(ChatTemplateFault::kCaller,
         "chat: " + std::string(what_) + " " + cause);
  }
  void SkipSpace() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\n' ||
                              rest_[0] == '\t' || rest_[0] == '\r')) {
      rest_.remove_prefix(1);
    }
  }
  bool Skip(std::string_view text) {
    if (rest_.substr(0, text.size()) != text) return false;
    rest_.remove_prefix(text.size());
    return true;
  }

  Value Read(size_t depth) {
    if (depth > kMaxValueDepth / 2) FailText("is nested too deeply");
    budget_.Allow(1, 0);
    SkipSpace();
    if (rest_.empty()) FailText("is not valid JSON: it ends too early");
    switch (rest_[0]) {
      case '{':
        return Object(depth);
      case '[':
        return List(depth);
      case '"':
        return MakeString(&budget_, String());
      default:
        break;
    }
    if (Skip("null")) return Value::None();
    if (Skip("true")) return Value::Bool(true);
    if (Skip("false")) return Value::Bool(false);
    return Number();
  }

  Value Object(size_t depth) {
    rest_.remove_prefix(1);
    DictBuilder dict(budget_);
    SkipSpace();
    if (Skip("}")) return dict.Take();
    for (;;) {
      SkipSpace();
      if (rest_.empty() || rest_[0] != '"') {
        FailText("is not valid JSON: a key is missing");
      }
      const Value key = MakeString(&budget_, String());
      SkipSpace();
      if (!Skip(":")) FailText("is not valid JSON: ':' is missing");
      dict.Set(key, Read(depth + 1));
      SkipSpace();
      if (Skip("}")) return dict.Take();
      if (!Skip(",")) FailText("is not valid JSON: ',' or '}' is missing");
    }
  }

  Value List(size_t depth) {
    rest_.remove_prefix(1);
    Values items;
    SkipSpace();
    if (Skip("]")) return MakeList(budget_, {});
    for (;;) {
      items.push_back(Read(depth + 1));
      SkipSpace();
      if (Skip("]")) return MakeList(budget_, std::move(items));
      if (!Skip(",")) FailText("is not valid JSON: ',' or ']' is missing");
    }
  }

  unsigned Unit() {
    if (rest_.size() < 4) FailText("is not valid JSON: an escape is cut off");
    unsigned unit = 0;
    for (const char c : rest_.substr(0, 4)) {
      const char lower = static_cast<char>(c | 0x20);
      if (c >= '0' && c <= '9') {
        unit = unit * 16 + static_cast<unsigned>(c - '0');
      } else if (lower >= 'a' && lower <= 'f') {
        unit = unit * 16 + static_cast<unsigned>(lower - 'a' + 10);
      } else {
        FailText("is not valid JSON: an escape is wrong");
      }
    }
    rest_.remove_prefix(4);
    return unit;
  }

  void Escape(std::string& text) {
    if (rest_.empty()) FailText("is not valid JSON: a string has no end");
    const char c = rest_[0];
    rest_.remove_prefix(1);
    static constexpr std::string_view kLetters = "\"\\/bfnrt";
    static constexpr std::string_view kMeaning = "\"\\/\b\f\n\r\t";
    const size_t known = kLetters.find(c);
    if (known != std::string_view::npos) {
      text += kMeaning[known];
      return;
    }
    if (c != 'u') FailText("is not valid JSON: an escape is wrong");
    char32_t unit = Unit();
    if (unit >= 0xD800 && unit <= 0xDBFF && Skip("\\u")) {
      const char32_t second = Unit();
      if (second < 0xDC00 || second > 0xDFFF) {
        FailText("has half of a surrogate pair");
      }
      unit = 0x10000 + ((unit - 0xD800) << 10) + (second - 0xDC00);
    }
    if (unit >= 0xD800 && unit <= 0xDFFF) {
      FailText("has half of a surrogate pair");
    }
    AppendUtf8(unit, text);
  }

  std::string String() {
    rest_.remove_prefix(1);
    std::string text;
    for (;;) {
      const size_t end = rest_.find_first_of("\"\\");
      if (end == std::string_view::npos) {
        FailText("is not valid JSON: a string has no end");
      }
      text += rest_.substr(0, end);
      const char c = rest_[end];
      rest_.remove_prefix(end + 1);
      if (c == '"') break;
      Escape(text);
    }
    budget_.Allow(0, text.size());
    return text;
  }

  Value Number() {
    const size_t end =
        std::min(rest_.find_first_not_of("+-0123456789.eE"), rest_.size());
    const std::string_view text = rest_.substr(0, end);
    rest_.remove_prefix(end);
    const std::string_view digits =
        text.substr(!text.empty() && text[0] == '-' ? 1 : 0);
    const bool bad = digits.empty() || digits[0] < '0' || digits[0] > '9' ||
                     (digits.size() > 1 && digits[0] == '0' &&
                      digits[1] >= '0' && digits[1] <= '9');
    if (bad) FailText("is not valid JSON");
    if (text.find_first_of(".eE") == std::string_view::npos) {
      const auto integer = ParseInteger(text, 10);
      if (!integer) FailText("has a number that cannot be read");
      return Value::Integer(*integer);
    }
    const auto real = ParseFloat(text);
    if (!real) FailText("has a number that cannot be read");
    return Value::Float(*real);
  }

  Budget& budget_;
  std::string_view rest_;
  std::string_view what_;
};

}  // namespace

std::string JsonText(Budget& budget, const Value& value,
                     const JsonStyle& style) {
  Writer writer(budget, style);
  writer.Write(value);
  return writer.Take();
}

Value ReadJson(Budget& budget, std::string_view text, std::string_view what) {
  if (!IsUtf8(text)) {
    Fail(ChatTemplateFault::kCaller,
         "chat: " + std::string(what) + " is not UTF-8");
  }
  return Reader(budget, text, what).Run();
}

}  // namespace lutra::chat
