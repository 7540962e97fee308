#ifndef LUTRA_QAT_SCHEME_H_
#define LUTRA_QAT_SCHEME_H_

#include <cstdint>
#include <map>
#include <optional>
#include <regex>
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

// Scheme by tensor name, as stored under kSchemesKey: tells the packer which
// grid a trained tensor lies on.
using SchemeMap = std::map<std::string, QuantScheme, std::less<>>;

// Throws lutra::Error naming `file` for anything but an object of known keys
// and values.
SchemeMap ParseSchemes(std::string_view json, std::string_view file);
std::string SchemesToJson(const SchemeMap& schemes);

// A list of rules, tried in order; the first whose regular expression matches
// the whole or a part of the tensor's name decides. Exclusions come first.
class SchemeRules {
 public:
  explicit SchemeRules(const QuantScheme& default_scheme)
      : default_(default_scheme) {}

  // "REGEX=bits:4,group-size:32,quantizer:stretched"; keys left out keep the
  // default's value; group-size may be "row". Throws lutra::Error; an unknown
  // key or value is an error that suggests the nearest right one.
  void AddRule(std::string_view text);
  // Throws lutra::Error for a bad regular expression.
  void AddExclusion(std::string_view regex);

  // nullopt: the tensor stays float.
  std::optional<QuantScheme> Match(std::string_view tensor) const;

 private:
  struct Rule {
    std::regex pattern;
    QuantScheme scheme;
  };
  QuantScheme default_;
  std::vector<Rule> rules_;
  std::vector<std::regex> exclusions_;
};

}  // namespace lutra::qat

#endif  // LUTRA_QAT_SCHEME_H_
