#include "packer/import/tokenizers/oniguruma.h"

#include <algorithm>
#include <iterator>

namespace lutra::packer {
namespace {

// Unicode's White_Space. The \s of PCRE2 has U+180E in addition.
#define LUTRA_SPACE R"(\t-\r\x{85}\p{Z})"
// Unicode's word characters. PCRE2's have no marks, but all numbers.
#define LUTRA_WORD R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})"
// Outside of classes Oniguruma looks characters of Latin-1 up in a table, in
// which superscripts and fractions are parts of words, too.
#define LUTRA_LATIN R"(\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE})"
#define LUTRA_WORD_CLASS "[" LUTRA_WORD LUTRA_LATIN "]"

struct Spelling {
  std::string_view original;
  std::string_view outside;  // of a class; empty: has no equal
  std::string_view inside;   // likewise
};

// Escapes that mean something else, or nothing, to PCRE2.
constexpr Spelling kEscapes[] = {
    {"s", "[" LUTRA_SPACE "]", LUTRA_SPACE},
    {"S", "[^" LUTRA_SPACE "]", R"(\P{White_Space})"},
    {"w", LUTRA_WORD_CLASS, LUTRA_WORD},
    {"W", "[^" LUTRA_WORD LUTRA_LATIN "]", ""},
    {"b",
     "(?:(?<=" LUTRA_WORD_CLASS ")(?!" LUTRA_WORD_CLASS
     ")|(?<!" LUTRA_WORD_CLASS ")(?=" LUTRA_WORD_CLASS "))",
     R"(\x08)"},
    {"B",
     "(?:(?<=" LUTRA_WORD_CLASS ")(?=" LUTRA_WORD_CLASS
     ")|(?<!" LUTRA_WORD_CLASS ")(?!" LUTRA_WORD_CLASS "))",
     ""},
    {"v", R"(\x0B)", R"(\x0B)"},
    {"h", "[0-9A-Fa-f]", "0-9A-Fa-f"},
    {"H", "[^0-9A-Fa-f]", ""},
    {"K", "", ""},
    {"Q", "", ""},
    {"E", "", ""},
};

// [:name:] in a class.
constexpr Spelling kPosixClasses[] = {
    {"[:alpha:]", "", R"(\p{Alphabetic})"},
    {"[:alnum:]", "", R"(\p{Alphabetic}\p{Nd})"},
    {"[:digit:]", "", R"(\p{Nd})"},
    {"[:lower:]", "", R"(\p{Lowercase})"},
    {"[:upper:]", "", R"(\p{Uppercase})"},
    {"[:space:]", "", LUTRA_SPACE},
    {"[:word:]", "", LUTRA_WORD},
};

#undef LUTRA_SPACE
#undef LUTRA_WORD
#undef LUTRA_LATIN
#undef LUTRA_WORD_CLASS

// What may follow "(?": names and looking behind start with "<". Options
// without a colon are for Oniguruma those of a group that lasts to the next
// closing parenthesis, and "m" is another one.
constexpr std::string_view kGroups[] = {":", "=", "!", "<", ">", "i:", "-i:"};

class Translator {
 public:
  Translator(const JsonObject& object, std::string_view regex)
      : object_(object), rest_(regex) {}

  std::string Translate() {
    // Only there does PCRE2 agree on what it applies to.
    if (rest_.starts_with("(?i)")) Keep(4);
    while (!rest_.empty()) {
      if (rest_.front() == '\\') {
        Escape(/*inside=*/false);
      } else if (rest_.front() == '[') {
        Class();
      } else if (rest_.starts_with("(?")) {
        Group();
      } else {
        if (rest_.front() == '{') CheckCount();
        Keep(1);
      }
    }
    return std::move(result_);
  }

 private:
  [[noreturn]] void Refuse(const std::string& what) const {
    object_.Fail(what + " in a regular expression is not supported");
  }
  [[noreturn]] void RefuseQuoted(std::string_view what,
                                 const std::string& where) const {
    Refuse(std::string("'") + std::string(what) + "'" + where);
  }

  void Keep(size_t bytes) {
    result_ += rest_.substr(0, bytes);
    rest_.remove_prefix(std::min(bytes, rest_.size()));
  }

  void Escape(bool inside) {
    const std::string_view name = rest_.substr(1, 1);
    const auto* found = std::find_if(
        std::begin(kEscapes), std::end(kEscapes),
        [name](const Spelling& entry) { return entry.original == name; });
    if (found == std::end(kEscapes)) {
      Keep(2);
      return;
    }
    const std::string_view spelling = inside ? found->inside : found->outside;
    if (spelling.empty()) {
      RefuseQuoted(rest_.substr(0, 2), inside ? " in a class" : "");
    }
    result_ += spelling;
    rest_.remove_prefix(2);
  }

  void Group() {
    const std::string_view kind = rest_.substr(2);
    if (std::none_of(std::begin(kGroups), std::end(kGroups),
                     [kind](auto group) { return kind.starts_with(group); })) {
      const size_t end = rest_.find_first_of(":)");
      RefuseQuoted(end > 8 ? "(?" : rest_.substr(0, end + 1), "");
    }
    Keep(2);
  }

  // {n,m}+ makes the count possessive in one dialect and repeats it in the
  // other; {,m} is a count only in one.
  void CheckCount() const {
    const size_t end = rest_.find('}');
    if (end == std::string_view::npos) return;
    const std::string_view count = rest_.substr(1, end - 1);
    if (count.empty() ||
        count.find_first_not_of("0123456789,") != std::string_view::npos) {
      return;
    }
    if (count.front() == ',') Refuse("a count without a lower limit");
    if (rest_.substr(end + 1).starts_with('+')) {
      Refuse("a count followed by '+'");
    }
  }

  // Classes in a class are united with it, so that their brackets can go.
  void Class() {
    size_t depth = 0;
    do {
      if (rest_.empty()) Refuse("a class without an end");
      const bool at_bracket = after_bracket_;
      after_bracket_ = false;
      if (rest_.front() == '\\') {
        Escape(/*inside=*/true);
      } else if (depth > 0 && rest_.starts_with("[:")) {
        PosixClass();
      } else if (rest_.front() == '[') {
        OpenClass(depth++);
      } else if (rest_.front() == ']') {
        if (--depth == 0) result_ += ']';
        rest_.remove_prefix(1);
        after_bracket_ = depth > 0;
      } else if (rest_.starts_with("&&")) {
        RefuseQuoted("&&", " in a class");
      } else {
        // Beside a bracket it makes no range.
        const std::string_view next = rest_.substr(1, 1);
        if (rest_.front() == '-' &&
            (at_bracket || next == "[" || next == "]")) {
          result_ += '\\';
        }
        Keep(1);
      }
    } while (depth > 0);
  }

  void OpenClass(size_t depth) {
    const bool negated = rest_.starts_with("[^");
    if (depth > 0 && negated) Refuse("a negated class in a class");
    if (depth == 0) result_ += negated ? "[^" : "[";
    rest_.remove_prefix(negated ? 2 : 1);
    // There it stands for itself.
    if (rest_.starts_with(']')) {
      result_ += "\\]";
      rest_.remove_prefix(1);
    } else {
      after_bracket_ = true;
    }
  }

  void PosixClass() {
    for (const Spelling& entry : kPosixClasses) {
      if (!rest_.starts_with(entry.original)) continue;
      result_ += entry.inside;
      rest_.remove_prefix(entry.original.size());
      return;
    }
    const size_t end = rest_.find(']');
    if (end == std::string_view::npos) Refuse("a class without an end");
    RefuseQuoted(rest_.substr(0, end + 1), "");
  }

  const JsonObject& object_;
  std::string_view rest_;
  std::string result_;
  bool after_bracket_ = false;  // a bracket of a class stands before `rest_`
};

}  // namespace

std::string PcrePattern(const JsonObject& object, std::string_view regex) {
  return Translator(object, regex).Translate();
}

}  // namespace lutra::packer
