#ifndef LUTRA_QAT_SCHEME_H_
#define LUTRA_QAT_SCHEME_H_

#include <cstdint>
#include <map>
#include <optional>
#include <regex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// How a tensor is quantized, and which tensors get which scheme. The trainer
// and the packer share this, so that a rule means the same to both.

namespace lutra::qat {

struct QuantScheme {
  std::string quantizer = "stretched";  // see MakeQuantizer
  int bits = 2;
  int64_t group_size = 0;  // columns per group; 0: the whole row

  bool operator==(const QuantScheme&) const = default;
};

// "2-bit stretched, groups of 64", for messages and tables.
std::string ToString(const QuantScheme& scheme);
// Throws lutra::Error if the quantizer is unknown or does not support the bits,
// or the group size is negative.
void CheckScheme(const QuantScheme& scheme);
// A positive number of columns, or "row" (0). Throws lutra::Error.
int64_t ParseGroupSize(std::string_view text);
std::string GroupSizeToString(int64_t group_size);

// Scheme by tensor name, as stored under kSchemesKey: tells the packer which
// grid a trained tensor lies on.
using SchemeMap = std::map<std::string, QuantScheme, std::less<>>;

// Throws lutra::Error naming `file` for anything but an object of known keys
// and values.
SchemeMap ParseSchemes(std::string_view json, std::string_view file);
std::string SchemesToJson(const SchemeMap& schemes);

// A list of rules, tried in order; the first whose regular expression
// (ECMAScript) matches the whole or a part of the tensor's name decides.
// Exclusions come first; a tensor that nothing matches gets the default.
class SchemeRules {
 public:
  SchemeRules() = default;
  // Throws lutra::Error as CheckScheme does.
  explicit SchemeRules(const QuantScheme& default_scheme);

  // "REGEX=bits:4,group-size:32,quantizer:stretched"; keys left out keep the
  // default's value; group-size may be "row". Throws lutra::Error; an unknown
  // key or value is an error that suggests the nearest right one.
  void AddRule(std::string_view text);
  // Throws lutra::Error for a bad regular expression.
  void AddExclusion(std::string_view regex);

  // nullopt: the tensor stays float. Throws lutra::Error for a name that is too
  // long to be matched.
  std::optional<QuantScheme> Match(std::string_view tensor) const;

  // Whether a rule, rather than the default, decides about a tensor that is not
  // excluded.
  bool HasRule(std::string_view tensor) const;

  // The rules and exclusions, as given, whose pattern matches none of
  // `tensors`: most likely typing mistakes.
  std::vector<std::string> Unused(std::span<const std::string> tensors) const;

 private:
  struct Pattern {
    std::string text;  // as given
    std::regex regex;
  };
  struct Rule {
    Pattern pattern;
    QuantScheme scheme;
  };
  static Pattern Compile(std::string_view text, std::string_view regex);
  static bool Matches(const Pattern& pattern, std::string_view tensor);
  const Rule* FindRule(std::string_view tensor) const;

  QuantScheme default_;
  std::vector<Rule> rules_;
  std::vector<Pattern> exclusions_;
};

}  // namespace lutra::qat

#endif  // LUTRA_QAT_SCHEME_H_
