#include "lutra/qat/scheme.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <system_error>

#include "lutra/qat/quantizers.h"
#include "lutra/runtime/error.h"
#include "lutra/runtime/operator.h"
#include "qat/spec/rule_text.h"
#include "runtime/base/json.h"
#include "runtime/base/unknown_word.h"

namespace lutra::qat {
namespace {

constexpr std::array<std::string_view, 4> kRuleKeys = {
    "bits", "group-size", "quantizer", "scale-type"};
constexpr std::array<std::string_view, 4> kJsonKeys = {
    "bits", "group_size", "quantizer", "scale_type"};
constexpr size_t kRequiredJsonKeys = 3;  // the first ones

constexpr std::array<std::string_view, 5> kScaleTypeNames = {
    "float32", "bfloat16", "float16", "two-level", "power-of-two"};
constexpr std::array<ScaleType, 5> kScaleTypes = {
    ScaleType::kFloat, ScaleType::kBFloat16, ScaleType::kFloat16,
    ScaleType::kTwoLevels, ScaleType::kPowerOfTwo};

template <typename T>
std::optional<T> ParseInteger(std::string_view text) {
  T value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || text.empty()) return std::nullopt;
  return value;
}

int ParseBits(std::string_view text) {
  const std::optional<int> bits = ParseInteger<int>(text);
  if (!bits.has_value()) {
    throw Error("bits must be a whole number, not '" + std::string(text) + "'");
  }
  return *bits;
}

void SetOption(std::string_view key, std::string_view value,
               QuantScheme& scheme) {
  if (key == "bits") {
    scheme.bits = ParseBits(value);
  } else if (key == "group-size") {
    SetGroupSize(value, scheme);
  } else if (key == "scale-type") {
    scheme.scale_type = ParseScaleType(value);
  } else {
    scheme.quantizer = value;
  }
}

QuantScheme SchemeFromJson(const nlohmann::json& json) {
  if (!json.is_object()) throw Error("is not an object");
  QuantScheme scheme;
  for (const auto& [key, value] : json.items()) {
    if (key == "quantizer") {
      if (!value.is_string()) throw Error("'quantizer' is not a string");
      scheme.quantizer = value.get<std::string>();
    } else if (key == "scale_type") {
      if (!value.is_string()) throw Error("'scale_type' is not a string");
      scheme.scale_type = ParseScaleType(value.get<std::string>());
    } else if (key == "bits" || key == "group_size") {
      if (!value.is_number_integer()) {
        throw Error("'" + key + "' is not a whole number");
      }
      const int64_t number = value.get<int64_t>();
      if (number < 0 || number > (int64_t{1} << 30)) {
        throw Error("'" + key + "' is out of range");
      }
      if (key == "bits") {
        scheme.bits = static_cast<int>(number);
      } else {
        scheme.group_size = number;
      }
    } else {
      throw Error(UnknownWord("key", key, kJsonKeys));
    }
  }
  for (const std::string_view key :
       std::span(kJsonKeys).first(kRequiredJsonKeys)) {
    if (!json.contains(key)) {
      throw Error("'" + std::string(key) + "' is missing");
    }
  }
  CheckScheme(scheme);
  return scheme;
}

// Whether weights of a quantizer with so many bits can be packed.
bool HasTable(std::string_view quantizer, int bits) {
  if (FindLearnedTable(quantizer)) return bits <= 4;
  // Above 4 bits the int8 values themselves are stored.
  return bits <= 4 || IsAsymmetric(quantizer) ||
         MakeQuantizer(quantizer)->LutTable(bits).has_value();
}

}  // namespace

std::string_view DefaultQuantizer(int bits) {
  constexpr int kMaxStretchedBits = 4;
  if (bits == 0) return "ternary";
  return bits <= kMaxStretchedBits ? "stretched" : "absmax";
}

std::string ToString(const QuantScheme& scheme) {
  const std::string bits =
      scheme.bits == 0 ? "ternary" : std::to_string(scheme.bits) + "-bit";
  std::string groups = "one scale per row";
  if (scheme.groups_per_row > 1) {
    groups = std::to_string(scheme.groups_per_row) + " groups per row";
  } else if (scheme.group_size > 0) {
    groups = "groups of " + GroupSizeToString(scheme.group_size);
  }
  const std::string scales =
      scheme.scale_type == ScaleType::kFloat
          ? ""
          : ", " + std::string(Name(scheme.scale_type)) + " scales";
  return bits + " " + scheme.quantizer + ", " + groups + scales;
}

void CheckScheme(const QuantScheme& scheme) {
  if (FindLearnedTable(scheme.quantizer)) {
    CheckLearnedTableBits(scheme.quantizer, scheme.bits);
  } else {
    MakeQuantizer(scheme.quantizer)->GridSize(scheme.bits);
  }
  if (scheme.group_size < 0) throw Error("the group size is negative");
}

int64_t ParseGroupSize(std::string_view text) {
  if (text == "row") return 0;
  const std::optional<int64_t> size = ParseInteger<int64_t>(text);
  if (!size.has_value() || *size <= 0) {
    throw Error("group-size must be a positive number or 'row', not '" +
                std::string(text) + "'");
  }
  return *size;
}

void SetGroupSize(std::string_view text, QuantScheme& scheme) {
  constexpr std::string_view kPart = "1/";
  if (!text.starts_with(kPart)) {
    scheme.group_size = ParseGroupSize(text);
    scheme.groups_per_row = 0;
    return;
  }
  const auto parts = ParseInteger<int64_t>(text.substr(kPart.size()));
  if (!parts.has_value() || *parts <= 0) {
    throw Error("group-size '" + std::string(text) +
                "' is no part of a row, as 1/4 is");
  }
  scheme.group_size = 0;
  scheme.groups_per_row = *parts;
}

QuantScheme ForRow(QuantScheme scheme, int64_t columns) {
  if (scheme.groups_per_row > 1) {
    scheme.group_size =
        columns / scheme.groups_per_row +
        static_cast<int64_t>(columns % scheme.groups_per_row != 0);
  }
  scheme.groups_per_row = 0;
  return scheme;
}

ScaleType ParseScaleType(std::string_view text) {
  const auto found =
      std::find(kScaleTypeNames.begin(), kScaleTypeNames.end(), text);
  if (found == kScaleTypeNames.end()) {
    throw Error(UnknownWord("scale type", text, kScaleTypeNames));
  }
  return kScaleTypes[static_cast<size_t>(found - kScaleTypeNames.begin())];
}

std::string_view Name(ScaleType type) {
  const auto found = std::find(kScaleTypes.begin(), kScaleTypes.end(), type);
  return kScaleTypeNames[static_cast<size_t>(found - kScaleTypes.begin())];
}

std::string GroupSizeToString(int64_t group_size) {
  return group_size == 0 ? "row" : std::to_string(group_size);
}

SchemeMap ParseSchemes(std::string_view json, std::string_view file) {
  const JsonDocument document = ParseJson(json, file, "'lutra.schemes'");
  const nlohmann::json& root = document.root();
  if (!root.is_object()) {
    throw Error::InFile(file, "'lutra.schemes' is not a JSON object");
  }
  SchemeMap schemes;
  for (const auto& [tensor, scheme] : root.items()) {
    try {
      schemes.emplace(tensor, SchemeFromJson(scheme));
    } catch (const Error& error) {
      throw Error::InTensor(file, tensor,
                            std::string("scheme: ") + error.what());
    }
  }
  return schemes;
}

std::string SchemesToJson(const SchemeMap& schemes) {
  nlohmann::json document = nlohmann::json::object();
  for (const auto& [tensor, scheme] : schemes) {
    document[tensor] = {{"quantizer", scheme.quantizer},
                        {"bits", scheme.bits},
                        {"group_size", scheme.group_size}};
    if (scheme.scale_type != ScaleType::kFloat) {
      document[tensor]["scale_type"] = Name(scheme.scale_type);
    }
  }
  return document.dump();
}

OpType ParseWeightOp(std::string_view name) {
  std::vector<std::string_view> names;
  for (const OpType op : AllOperators()) {
    if (!IsPackable(op)) continue;
    if (Name(op) == name) return op;
    names.push_back(Name(op));
  }
  throw Error(UnknownWord("operator", name, names));
}

RulePattern ParsePattern(std::string_view text) {
  constexpr std::string_view kPrefix = "op:";
  if (!text.starts_with(kPrefix)) return {std::string(text), std::nullopt};
  return {"", ParseWeightOp(text.substr(kPrefix.size()))};
}

SchemeRules::SchemeRules(const QuantScheme& default_scheme)
    : SchemeRules(std::optional(default_scheme)) {}

SchemeRules::SchemeRules(const std::optional<QuantScheme>& default_scheme)
    : default_(default_scheme) {
  if (default_.has_value()) CheckScheme(*default_);
}

SchemeRules::Pattern SchemeRules::Compile(std::string_view text,
                                          const RulePattern& pattern) {
  return Pattern{std::string(text), NamePattern(pattern.regex), pattern.op};
}

bool SchemeRules::Matches(const Pattern& pattern, const RuleTarget& target) {
  return pattern.name.IsIn(target.tensor) &&
         (!pattern.op.has_value() || pattern.op == target.op);
}

const SchemeRules::Rule* SchemeRules::FindRule(const RuleTarget& target) const {
  for (const Rule& rule : rules_) {
    if (Matches(rule.pattern, target)) return &rule;
  }
  return nullptr;
}

void SchemeRules::AddRule(std::string_view text) {
  QuantScheme scheme = default_.value_or(QuantScheme());
  try {
    bool names_quantizer = false;
    const std::string_view regex =
        ParseRule(text, kRuleKeys, "key:value,...",
                  [&](std::string_view key, std::string_view value) {
                    SetOption(key, value, scheme);
                    names_quantizer = names_quantizer || key == "quantizer";
                  });
    if (!names_quantizer && (scheme.quantizer == QuantScheme().quantizer ||
                             !HasTable(scheme.quantizer, scheme.bits))) {
      scheme.quantizer = DefaultQuantizer(scheme.bits);
    }
    AddRule(text, ParsePattern(regex), scheme);
  } catch (const Error& error) {
    throw Error("rule '" + std::string(text) + "': " + error.what());
  }
}

void SchemeRules::AddRule(std::string_view text, const RulePattern& pattern,
                          const std::optional<QuantScheme>& scheme) {
  if (scheme.has_value()) CheckScheme(*scheme);
  rules_.push_back({Compile(text, pattern), scheme});
}

void SchemeRules::AddExclusion(std::string_view text) {
  AddExclusion(text, ParsePattern(text));
}

void SchemeRules::AddExclusion(std::string_view text,
                               const RulePattern& pattern) {
  exclusions_.push_back(Compile(text, pattern));
}

bool SchemeRules::IsExcluded(const RuleTarget& target) const {
  for (const Pattern& pattern : exclusions_) {
    if (Matches(pattern, target)) return true;
  }
  return false;
}

std::optional<size_t> SchemeRules::MatchingRule(
    const RuleTarget& target) const {
  if (IsExcluded(target)) return std::nullopt;
  const Rule* rule = FindRule(target);
  if (rule == nullptr) return std::nullopt;
  return static_cast<size_t>(rule - rules_.data());
}

std::optional<QuantScheme> SchemeRules::Match(const RuleTarget& target) const {
  if (IsExcluded(target)) return std::nullopt;
  const Rule* rule = FindRule(target);
  return rule != nullptr ? rule->scheme : default_;
}

std::string SchemeRules::Reason(const RuleTarget& target) const {
  for (const Pattern& pattern : exclusions_) {
    if (Matches(pattern, target)) return "excluded by '" + pattern.text + "'";
  }
  const Rule* rule = FindRule(target);
  return rule == nullptr ? "default" : "rule '" + rule->pattern.text + "'";
}

bool SchemeRules::HasRule(const RuleTarget& target) const {
  return FindRule(target) != nullptr;
}

std::vector<std::string> SchemeRules::Unused(
    Span<const RuleTarget> targets) const {
  std::vector<std::string> unused;
  const auto check = [&](const Pattern& pattern) {
    for (const RuleTarget& target : targets) {
      if (Matches(pattern, target)) return;
    }
    unused.push_back(pattern.text);
  };
  for (const Pattern& pattern : exclusions_) check(pattern);
  for (const Rule& rule : rules_) check(rule.pattern);
  return unused;
}

}  // namespace lutra::qat
