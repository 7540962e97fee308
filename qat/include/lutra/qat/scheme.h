#ifndef LUTRA_QAT_SCHEME_H_
#define LUTRA_QAT_SCHEME_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lutra/kernels/span.h"
#include "lutra/qat/affine.h"
#include "lutra/qat/name_pattern.h"
#include "lutra/runtime/graph.h"

// How a tensor is quantized, and which tensors get which scheme. The trainer
// and the packer share this, so that a rule means the same to both.

namespace lutra::qat {

struct QuantScheme {
  std::string quantizer = "stretched";  // see MakeQuantizer, FindLearnedTable
  int bits = 2;
  int64_t group_size = 0;  // columns per group; 0: the whole row
  // As packed scales are stored. Weights that are packed with
  // rounded scales take the level that is nearest then.
  ScaleType scale_type = ScaleType::kFloat;
  // If not 0, so many groups make a row: group_size is 0, and ForRow sets it.
  int64_t groups_per_row = 0;

  bool operator==(const QuantScheme& other) const {
    return quantizer == other.quantizer && bits == other.bits &&
           group_size == other.group_size &&
           groups_per_row == other.groups_per_row &&
           scale_type == other.scale_type;
  }
  bool operator!=(const QuantScheme& other) const { return !(*this == other); }
};

// What is meant where bits are given and no quantizer is: "stretched", with 0
// bits "ternary", and above 4 bits, where its levels fit no table, "absmax".
std::string_view DefaultQuantizer(int bits);
// "2-bit stretched, groups of 64, bfloat16 scales", for messages and tables.
std::string ToString(const QuantScheme& scheme);
// Throws lutra::Error if the quantizer is unknown or does not support the bits,
// or the group size is negative.
void CheckScheme(const QuantScheme& scheme);
// A positive number of columns, or "row" (0). Throws lutra::Error.
int64_t ParseGroupSize(std::string_view text);
std::string GroupSizeToString(int64_t group_size);
// What ParseGroupSize reads, or "1/N" of a row. Throws lutra::Error.
void SetGroupSize(std::string_view text, QuantScheme& scheme);
// The scheme for rows of so many columns: parts of a row become a number of
// columns, rounded up.
QuantScheme ForRow(QuantScheme scheme, int64_t columns);
// "float32", "bfloat16", "float16", "two-level" or "power-of-two". Throws
// lutra::Error.
ScaleType ParseScaleType(std::string_view text);
std::string_view Name(ScaleType type);

// Scheme by tensor name, as stored under kSchemesKey: tells the packer which
// grid a trained tensor lies on.
using SchemeMap = std::map<std::string, QuantScheme, std::less<>>;

// Throws lutra::Error naming `file` for anything but an object of known keys
// and values.
SchemeMap ParseSchemes(std::string_view json, std::string_view file);
std::string SchemesToJson(const SchemeMap& schemes);

// A weight as rules see it.
struct RuleTarget {
  // A name will do.
  RuleTarget(std::string name) : tensor(std::move(name)) {}
  RuleTarget(const char* name) : tensor(name) {}
  RuleTarget(std::string name, OpType type)
      : tensor(std::move(name)), op(type) {}

  std::string tensor;
  // Of the first node that uses it. Without, no pattern with an operator
  // matches.
  std::optional<OpType> op;
};

// Which weights: those whose name a regular expression (ECMAScript) matches in
// whole or in part, and that belong to nodes of a type.
struct RulePattern {
  std::string regex;         // empty: any name
  std::optional<OpType> op;  // nullopt: any type
};

// "REGEX", or "op:linear" for all weights of a type of operator. Throws
// lutra::Error that suggests the nearest type.
RulePattern ParsePattern(std::string_view text);
// The name of an operator with weights, e.g. "linear". Throws likewise.
OpType ParseWeightOp(std::string_view name);

// A list of rules, tried in order; the first whose pattern matches decides.
// Exclusions come first; a tensor that nothing matches gets the default.
class SchemeRules {
 public:
  SchemeRules() = default;
  // Throws lutra::Error as CheckScheme does.
  explicit SchemeRules(const QuantScheme& default_scheme);
  // nullopt: tensors without a rule stay float.
  explicit SchemeRules(const std::optional<QuantScheme>& default_scheme);

  // "PATTERN=bits:4,group-size:32,quantizer:stretched,scale-type:float16" with
  // a pattern as ParsePattern reads it; keys left out keep the default's value
  // (but see DefaultQuantizer, which also stands in for a quantizer whose
  // levels fit no table with these bits); group-size may be "row". Throws
  // lutra::Error; an unknown key or value is an error that suggests the nearest
  // right one.
  void AddRule(std::string_view text);
  // The same in parts; nullopt: what matches stays float. `text` is what Unused
  // reports.
  void AddRule(std::string_view text, const RulePattern& pattern,
               const std::optional<QuantScheme>& scheme);
  // Throws lutra::Error for a bad pattern.
  void AddExclusion(std::string_view text);
  void AddExclusion(std::string_view text, const RulePattern& pattern);

  // nullopt: the tensor stays float. Throws lutra::Error for a name that is too
  // long to be matched.
  std::optional<QuantScheme> Match(const RuleTarget& target) const;

  // Position of the rule that decides, counted from 0; nullopt: none does, so
  // that the default holds, or the tensor is excluded.
  std::optional<size_t> MatchingRule(const RuleTarget& target) const;
  bool IsExcluded(const RuleTarget& target) const;

  // What decides about a tensor, in words: "rule 'fc3=bits:4'", "excluded by
  // 'embed'", "default".
  std::string Reason(const RuleTarget& target) const;

  // Whether a rule, rather than the default, decides about a tensor that is not
  // excluded.
  bool HasRule(const RuleTarget& target) const;

  // The rules and exclusions, as given, whose pattern matches none of
  // `targets`: most likely typing mistakes.
  std::vector<std::string> Unused(Span<const RuleTarget> targets) const;

 private:
  struct Pattern {
    std::string text;  // as given
    NamePattern name;
    std::optional<OpType> op;
  };
  struct Rule {
    Pattern pattern;
    std::optional<QuantScheme> scheme;
  };
  static Pattern Compile(std::string_view text, const RulePattern& pattern);
  static bool Matches(const Pattern& pattern, const RuleTarget& target);
  const Rule* FindRule(const RuleTarget& target) const;

  std::optional<QuantScheme> default_ = QuantScheme();
  std::vector<Rule> rules_;
  std::vector<Pattern> exclusions_;
};

}  // namespace lutra::qat

#endif  // LUTRA_QAT_SCHEME_H_
