#ifndef LUTRA_QAT_PARAM_RULES_H_
#define LUTRA_QAT_PARAM_RULES_H_

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lutra/kernels/span.h"
#include "lutra/qat/name_pattern.h"

// How single parameters are trained otherwise than the rest.

namespace lutra::qat {

struct ParamSettings {
  double rate = 1.0;  // multiple of the learning rate; 0: does not learn
  std::optional<double> weight_decay;  // else as usual

  bool operator==(const ParamSettings& other) const {
    return rate == other.rate && weight_decay == other.weight_decay;
  }
};

// By the name of the parameter; others are trained as usual.
using ParamSettingsMap = std::map<std::string, ParamSettings, std::less<>>;

// Rules "REGEX=lr:X,decay:X" (one of the two or both); the first that matches
// the name of a parameter counts.
class ParamRules {
 public:
  // Throws lutra::Error for what is no rule.
  void Add(std::string_view text);

  // Of all names that a rule matches.
  ParamSettingsMap Resolve(Span<const std::string> names) const;
  // Rules that match no name.
  std::vector<std::string> Unused(Span<const std::string> names) const;

 private:
  struct Rule {
    std::string text;
    NamePattern pattern;
    ParamSettings settings;
  };
  std::vector<Rule> rules_;
};

}  // namespace lutra::qat

#endif  // LUTRA_QAT_PARAM_RULES_H_
