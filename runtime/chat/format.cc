#include "runtime/chat/format.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "runtime/chat/access.h"
#include "runtime/chat/characters.h"
#include "runtime/chat/methods.h"
#include "runtime/chat/number_format.h"
#include "runtime/chat/numbers.h"
#include "runtime/chat/text.h"

namespace lutra::chat {
namespace {

// A "%..." or a format specification asks for more than this by mistake.
constexpr Int kMostWidth = Int{1} << 40;

size_t CheckedWidth(Budget& budget, Int width) {
  if (width > kMostWidth) FailLimit("chat template: too wide a text");
  if (width <= 0) return 0;
  budget.Check(static_cast<size_t>(width));
  return static_cast<size_t>(width);
}

size_t Characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(),
      [](char c) { return (static_cast<unsigned char>(c) & 0xC0u) != 0x80u; }));
}

std::string Cut(const std::string& text, std::optional<size_t> most) {
  if (!most) return text;
  std::string result;
  size_t count = 0;
  ForEachCharacter(text, [&](char32_t, std::string_view bytes) {
    if (count++ == *most) return false;
    result += bytes;
    return true;
  });
  return result;
}

// repr() with everything beyond ASCII as an escape.
std::string AsciiRepresentation(Budget& budget, const Value& value) {
  std::string result;
  ForEachCharacter(
      Representation(budget, value), [&](char32_t c, std::string_view bytes) {
        if (c < 0x80) {
          result += bytes;
        } else {
          const std::string hex = IntegerText(static_cast<Int>(c), 16);
          const size_t digits = c <= 0xFF ? 2 : c <= 0xFFFF ? 4 : 8;
          result += digits == 2 ? "\\x" : digits == 4 ? "\\u" : "\\U";
          result += std::string(digits - hex.size(), '0') + hex;
        }
        return true;
      });
  return result;
}

struct PercentField {
  bool left = false, zero = false, space = false, plus = false, hash = false;
  size_t width = 0;
  std::optional<size_t> precision;
};

class PercentFormatter {
 public:
  PercentFormatter(Budget& budget, const Value& format, const Value& arguments)
      : budget_(budget),
        rest_(format.text()),
        safe_(format.As<StringObject>().safe),
        arguments_(arguments) {}

  std::string Run() {
    std::string result;
    while (!rest_.empty()) {
      const size_t at = rest_.find('%');
      result += rest_.substr(0, at);
      if (at == std::string_view::npos) break;
      rest_.remove_prefix(at + 1);
      result += Field();
      budget_.Check(result.size());
      budget_.Step();
    }
    // What has elements need not be used up.
    const bool mapping = arguments_.IsDict() || arguments_.Is(Kind::kList) ||
                         arguments_.Is(Kind::kRange) ||
                         arguments_.IsUndefined();
    if (!mapping && next_ < Count()) {
      FailRun("not all arguments converted during string formatting");
    }
    return result;
  }

 private:
  size_t Count() const {
    return arguments_.Is(Kind::kTuple) ? arguments_.items().size() : 1;
  }
  Value Next() {
    if (next_ >= Count()) FailRun("not enough arguments for format string");
    const size_t index = next_++;
    return arguments_.Is(Kind::kTuple) ? arguments_.items()[index] : arguments_;
  }
  char Peek() const {
    if (rest_.empty()) FailRun("incomplete format");
    return rest_[0];
  }
  char Take() {
    const char c = Peek();
    rest_.remove_prefix(1);
    return c;
  }
  Int Digits() {
    Int value = 0;
    while (!rest_.empty() && rest_[0] >= '0' && rest_[0] <= '9') {
      if (value > kMostWidth) FailLimit("chat template: too wide a text");
      value = value * 10 + (Take() - '0');
    }
    return value;
  }

  std::string Field() {
    std::optional<Value> keyed;
    if (Peek() == '(') keyed = Keyed();
    PercentField field;
    for (;; Take()) {
      const char c = Peek();
      if (c == '-')
        field.left = true;
      else if (c == '0')
        field.zero = true;
      else if (c == ' ')
        field.space = true;
      else if (c == '+')
        field.plus = true;
      else if (c == '#')
        field.hash = true;
      else
        break;
    }
    if (Peek() == '*') {
      Take();
      const Value width = Next();
      if (!width.IsInteger()) FailRun("* wants int");
      field.left = field.left || width.integer() < 0;
      field.width = CheckedWidth(
          budget_, width.integer() < 0 ? -width.integer() : width.integer());
    } else {
      field.width = CheckedWidth(budget_, Digits());
    }
    if (Peek() == '.') {
      Take();
      if (Peek() == '*') {
        Take();
        const Value precision = Next();
        if (!precision.IsInteger()) FailRun("* wants int");
        field.precision = CheckedWidth(budget_, precision.integer());
      } else {
        field.precision = CheckedWidth(budget_, Digits());
      }
    }
    while (Peek() == 'h' || Peek() == 'l' || Peek() == 'L') Take();
    const char type = Take();
    if (type == '%') return "%";
    return Convert(field, type, keyed ? *keyed : Next());
  }

  Value Keyed() {
    Take();
    size_t depth = 1;
    std::string key;
    for (;;) {
      const char c = Take();
      if (c == '(') ++depth;
      if (c == ')' && --depth == 0) break;
      key += c;
    }
    if (!arguments_.IsDict()) FailRun("format requires a mapping");
    const Value* found = FindKey(arguments_.As<DictObject>(), key);
    if (found == nullptr) FailRun("KeyError: " + Quoted(key));
    return *found;
  }

  std::string Escape(const std::string& text, const Value& value) const {
    const bool already = value.IsString() && value.As<StringObject>().safe;
    return safe_ && !already ? Escaped(text) : text;
  }

  std::string Convert(const PercentField& field, char type,
                      const Value& value) {
    std::string text;
    std::string sign;
    bool number = true;
    switch (type) {
      case 's':
        text = Cut(Escape(Text(budget_, value), value), field.precision);
        number = false;
        break;
      case 'r':
        text = Cut(Escape(Representation(budget_, value), Value()),
                   field.precision);
        number = false;
        break;
      case 'a':
        text = Cut(Escape(AsciiRepresentation(budget_, value), Value()),
                   field.precision);
        number = false;
        break;
      case 'c':
        text = Character(value);
        number = false;
        break;
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o':
        text = Integer(field, type, value, sign);
        break;
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G': {
        RequireDefined(value);
        if (!value.IsNumber()) {
          FailRun("must be real number, not " + TypeName(value));
        }
        const double real = value.AsDouble();
        if (std::signbit(real) && !std::isnan(real)) sign = '-';
        text = RealDigits(std::fabs(real), type, field.precision.value_or(6),
                          field.hash);
        break;
      }
      default:
        FailRun("unsupported format character");
    }
    if (number && sign.empty()) {
      sign = field.plus ? "+" : field.space ? " " : "";
    }
    const size_t used = Characters(text) + sign.size();
    const size_t missing = field.width > used ? field.width - used : 0;
    if (field.left) return sign + text + std::string(missing, ' ');
    if (field.zero && number) return ZeroFilled(sign, text, missing);
    return std::string(missing, ' ') + sign + text;
  }

  static std::string ZeroFilled(const std::string& sign,
                                const std::string& text, size_t missing) {
    // Behind a prefix like 0x.
    const size_t prefix =
        text.size() > 1 && text[0] == '0' && (text[1] | 0x20) >= 'b' ? 2 : 0;
    return sign + text.substr(0, prefix) + std::string(missing, '0') +
           text.substr(prefix);
  }

  static std::string Character(const Value& value) {
    if (value.IsString()) {
      if (value.As<StringObject>().length != 1) {
        FailRun("%c requires int or char");
      }
      return value.text();
    }
    RequireDefined(value);
    if (!value.IsInteger()) FailRun("%c requires int or char");
    if (value.integer() < 0 || value.integer() > 0x10FFFF) {
      FailRun("%c arg not in range(0x110000)");
    }
    const auto c = static_cast<char32_t>(value.integer());
    if (c >= 0xD800 && c <= 0xDFFF) FailRun("%c of a surrogate");
    std::string text;
    AppendUtf8(c, text);
    return text;
  }

  std::string Integer(const PercentField& field, char type, const Value& value,
                      std::string& sign) {
    RequireDefined(value);
    const bool decimal = type == 'd' || type == 'i' || type == 'u';
    Int integer = 0;
    if (value.IsInteger()) {
      integer = value.integer();
    } else if (decimal && value.Is(Kind::kFloat)) {
      integer = ToInteger(value.real());
    } else {
      FailRun(std::string("%") + type + " format: a" +
              (decimal ? " real number" : "n integer") + " is required, not " +
              TypeName(value));
    }
    const int base = decimal ? 10 : type == 'o' ? 8 : 16;
    std::string digits = IntegerText(integer, base);
    if (digits[0] == '-') {
      sign = '-';
      digits.erase(0, 1);
    }
    if (field.precision && digits.size() < *field.precision) {
      digits.insert(0, *field.precision - digits.size(), '0');
    }
    if (field.hash && base == 16) digits = "0x" + digits;
    if (field.hash && base == 8) digits = "0o" + digits;
    return type == 'X' ? Upper(digits) : digits;
  }

  Budget& budget_;
  std::string_view rest_;
  const bool safe_;
  const Value& arguments_;
  size_t next_ = 0;
};

}  // namespace

Value FormatPercent(Budget& budget, const Value& format,
                    const Value& arguments) {
  return MakeString(&budget, PercentFormatter(budget, format, arguments).Run(),
                    format.As<StringObject>().safe);
}

namespace {

// What a format specification asks for.
struct Spec {
  std::string fill = " ";
  char align = '\0';
  char sign = '-';
  bool hash = false;
  bool zero = false;
  size_t width = 0;
  char group = '\0';
  std::optional<size_t> precision;
  char type = '\0';
};

bool IsAlign(char c) { return c == '<' || c == '>' || c == '=' || c == '^'; }

[[noreturn]] void FailSpec(std::string_view spec, const Value& value) {
  FailRun("Invalid format specifier '" + std::string(spec) +
          "' for object of type '" + TypeName(value) + "'");
}

Spec ParseSpec(Budget& budget, std::string_view text, const Value& value) {
  Spec spec;
  std::string_view rest = text;
  const auto take = [&rest](char c) {
    if (rest.empty() || rest[0] != c) return false;
    rest.remove_prefix(1);
    return true;
  };
  const auto digits = [&]() -> std::optional<size_t> {
    Int number = 0;
    bool any = false;
    while (!rest.empty() && rest[0] >= '0' && rest[0] <= '9') {
      any = true;
      number = number * 10 + (rest[0] - '0');
      if (number > kMostWidth) FailLimit("chat template: too wide a text");
      rest.remove_prefix(1);
    }
    if (!any) return std::nullopt;
    return CheckedWidth(budget, number);
  };
  const size_t first = rest.empty() ? 0 : ReadUtf8(rest).bytes;
  if (rest.size() > first && IsAlign(rest[first])) {
    spec.fill = std::string(rest.substr(0, first));
    spec.align = rest[first];
    rest.remove_prefix(first + 1);
  } else if (!rest.empty() && IsAlign(rest[0])) {
    spec.align = rest[0];
    rest.remove_prefix(1);
  }
  if (!rest.empty() && (rest[0] == '+' || rest[0] == '-' || rest[0] == ' ')) {
    spec.sign = rest[0];
    rest.remove_prefix(1);
  }
  if (take('z')) FailRun("the format option 'z' is not supported");
  spec.hash = take('#');
  if (take('0')) {
    spec.zero = true;
    if (spec.align == '\0') {
      spec.fill = '0';
      if (!value.IsString()) spec.align = '=';
    }
  }
  spec.width = digits().value_or(0);
  if (take(',')) spec.group = ',';
  if (take('_')) {
    if (spec.group != '\0') FailSpec(text, value);
    spec.group = '_';
  }
  if (take('.')) {
    spec.precision = digits();
    if (!spec.precision) FailRun("Format specifier missing precision");
  }
  if (!rest.empty()) {
    spec.type = rest[0];
    rest.remove_prefix(1);
  }
  if (!rest.empty()) FailSpec(text, value);
  return spec;
}

std::string Padded(const Spec& spec, char otherwise, const std::string& sign,
                   const std::string& text) {
  const size_t used = Characters(text) + sign.size();
  const size_t missing = spec.width > used ? spec.width - used : 0;
  const auto fill = [&spec](size_t count) {
    std::string result;
    for (size_t i = 0; i < count; ++i) result += spec.fill;
    return result;
  };
  switch (spec.align == '\0' ? otherwise : spec.align) {
    case '<':
      return sign + text + fill(missing);
    case '^':
      return fill(missing / 2) + sign + text + fill(missing - missing / 2);
    case '=':
      return sign + fill(missing) + text;
    default:
      return fill(missing) + sign + text;
  }
}

std::string Sign(const Spec& spec, bool negative) {
  if (negative) return "-";
  return spec.sign == '-' ? "" : std::string(1, spec.sign);
}

[[noreturn]] void FailType(const Spec& spec, const Value& value) {
  FailRun(std::string("Unknown format code '") + spec.type +
          "' for object of type '" + TypeName(value) + "'");
}

// Digits with separators; zeros to fill the width get them, too.
std::string Grouped(const Spec& spec, const std::string& sign,
                    std::string whole, const std::string& rest, size_t every) {
  const bool zeros = spec.zero && spec.align == '=' && spec.fill == "0";
  if (spec.group == '\0') return whole + rest;
  const auto grouped = [&](const std::string& digits) {
    std::string result;
    for (size_t i = 0; i < digits.size(); ++i) {
      if (i > 0 && (digits.size() - i) % every == 0) result += spec.group;
      result += digits[i];
    }
    return result;
  };
  std::string text = grouped(whole);
  if (zeros) {
    while (sign.size() + text.size() + rest.size() < spec.width) {
      whole.insert(0, 1, '0');
      text = grouped(whole);
    }
  }
  return text + rest;
}

std::string FormatReal(const Spec& spec, const Value& value, double real) {
  const bool negative = std::signbit(real) && !std::isnan(real);
  const double magnitude = std::fabs(real);
  std::string text;
  switch (spec.type) {
    case '\0':
      text = spec.precision ? GeneralText(magnitude, *spec.precision, spec.hash)
                            : FloatText(magnitude);
      break;
    case '%':
      text = RealDigits(magnitude * 100, 'f', spec.precision.value_or(6),
                        spec.hash) +
             "%";
      break;
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
      text = RealDigits(magnitude, spec.type, spec.precision.value_or(6),
                        spec.hash);
      break;
    case 'n':
      text = RealDigits(magnitude, 'g', spec.precision.value_or(6), spec.hash);
      break;
    default:
      FailType(spec, value);
  }
  const std::string sign = Sign(spec, negative);
  const size_t end = text.find_first_not_of("0123456789");
  if (end != 0) {
    text = Grouped(spec, sign, text.substr(0, end),
                   end == std::string::npos ? "" : text.substr(end), 3);
  }
  return Padded(spec, '>', sign, text);
}

std::string FormatInteger(Budget& budget, const Spec& spec,
                          const Value& value) {
  int base = 10;
  std::string prefix;
  switch (spec.type) {
    case '\0':
    case 'd':
    case 'n':
      break;
    case 'b':
      base = 2;
      prefix = "0b";
      break;
    case 'o':
      base = 8;
      prefix = "0o";
      break;
    case 'x':
    case 'X':
      base = 16;
      prefix = {'0', spec.type};
      break;
    case 'c': {
      if (value.integer() < 0 || value.integer() > 0x10FFFF) {
        FailRun("%c arg not in range(0x110000)");
      }
      std::string text;
      AppendUtf8(static_cast<char32_t>(value.integer()), text);
      budget.Check(text.size());
      return Padded(spec, '<', "", text);
    }
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
    case '%':
      return FormatReal(spec, value, value.AsDouble());
    default:
      FailType(spec, value);
  }
  if (spec.precision) {
    FailRun("Precision not allowed in integer format specifier");
  }
  std::string digits = IntegerText(value.integer(), base);
  const bool negative = digits[0] == '-';
  if (negative) digits.erase(0, 1);
  if (spec.type == 'X') digits = Upper(digits);
  std::string sign = Sign(spec, negative);
  if (spec.hash) sign += prefix;
  return Padded(spec, '>', sign,
                Grouped(spec, sign, digits, "", base == 10 ? 3 : 4));
}

}  // namespace

std::string FormatSpec(Budget& budget, const Value& value,
                       std::string_view spec_text) {
  if (spec_text.empty()) return Text(budget, value);
  const Spec spec = ParseSpec(budget, spec_text, value);
  budget.Take(spec.width);
  budget.Give(spec.width);
  switch (value.kind()) {
    case Kind::kString: {
      if (spec.type != '\0' && spec.type != 's') FailType(spec, value);
      if (spec.align == '=' || spec.sign != '-' || spec.hash ||
          spec.group != '\0') {
        FailSpec(spec_text, value);
      }
      return Padded(spec, '<', "", Cut(value.text(), spec.precision));
    }
    case Kind::kBool:
    case Kind::kInt:
      return FormatInteger(budget, spec, value);
    case Kind::kFloat:
      return FormatReal(spec, value, value.real());
    default:
      RequireDefined(value);
      FailRun("unsupported format string passed to " + TypeName(value) +
              ".__format__");
  }
}

}  // namespace lutra::chat
