#include "lutra/qat/scheme.h"

#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <system_error>

#include "lutra/qat/quantizers.h"
#include "lutra/runtime/error.h"
#include "qat/suggest.h"
#include "runtime/json.h"

namespace lutra::qat {
namespace {

constexpr std::array<std::string_view, 3> kRuleKeys = {"bits", "group-size",
                                                       "quantizer"};
constexpr std::array<std::string_view, 3> kJsonKeys = {"bits", "group_size",
                                                       "quantizer"};

// std::regex recurses once per character, so a long enough name in a file
// would overflow the stack.
constexpr size_t kMaxNameForRegex = 1024;

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

// Applies "key:value" of a rule.
void SetOption(std::string_view option, QuantScheme& scheme) {
  const size_t colon = option.find(':');
  const std::string_view key = option.substr(0, colon);
  if (key != "bits" && key != "group-size" && key != "quantizer") {
    throw Error(UnknownWord("key", key, kRuleKeys));
  }
  if (colon == std::string_view::npos) {
    throw Error("'" + std::string(key) + "' has no value");
  }
  const std::string_view value = option.substr(colon + 1);
  if (key == "bits") {
    scheme.bits = ParseBits(value);
  } else if (key == "group-size") {
    scheme.group_size = ParseGroupSize(value);
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
  for (const std::string_view key : kJsonKeys) {
    if (!json.contains(key)) {
      throw Error("'" + std::string(key) + "' is missing");
    }
  }
  CheckScheme(scheme);
  return scheme;
}

}  // namespace

std::string ToString(const QuantScheme& scheme) {
  const std::string bits =
      scheme.bits == 0 ? "ternary" : std::to_string(scheme.bits) + "-bit";
  const std::string groups =
      scheme.group_size == 0
          ? "one scale per row"
          : "groups of " + GroupSizeToString(scheme.group_size);
  return bits + " " + scheme.quantizer + ", " + groups;
}

void CheckScheme(const QuantScheme& scheme) {
  MakeQuantizer(scheme.quantizer)->GridSize(scheme.bits);
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

std::string GroupSizeToString(int64_t group_size) {
  return group_size == 0 ? "row" : std::to_string(group_size);
}

SchemeMap ParseSchemes(std::string_view json, std::string_view file) {
  const nlohmann::json document = ParseJson(json, file, "'lutra.schemes'");
  if (!document.is_object()) {
    throw Error::InFile(file, "'lutra.schemes' is not a JSON object");
  }
  SchemeMap schemes;
  for (const auto& [tensor, scheme] : document.items()) {
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
  }
  return document.dump();
}

SchemeRules::SchemeRules(const QuantScheme& default_scheme)
    : default_(default_scheme) {
  CheckScheme(default_);
}

SchemeRules::Pattern SchemeRules::Compile(std::string_view text,
                                          std::string_view regex) {
  try {
    return Pattern{std::string(text),
                   std::regex(regex.begin(), regex.end(),
                              std::regex::ECMAScript | std::regex::optimize)};
  } catch (const std::regex_error& error) {
    throw Error("'" + std::string(regex) +
                "' is not a regular expression: " + error.what());
  }
}

bool SchemeRules::Matches(const Pattern& pattern, std::string_view tensor) {
  if (tensor.size() > kMaxNameForRegex) {
    throw Error("tensor '" + std::string(tensor.substr(0, 64)) +
                "...': the name is too long for rules (" +
                std::to_string(tensor.size()) + " characters)");
  }
  return std::regex_search(tensor.begin(), tensor.end(), pattern.regex);
}

const SchemeRules::Rule* SchemeRules::FindRule(std::string_view tensor) const {
  for (const Rule& rule : rules_) {
    if (Matches(rule.pattern, tensor)) return &rule;
  }
  return nullptr;
}

void SchemeRules::AddRule(std::string_view text) {
  const std::string where = "rule '" + std::string(text) + "': ";
  // The expression may hold '=' itself; the options cannot.
  const size_t equals = text.rfind('=');
  if (equals == std::string_view::npos || equals == 0) {
    throw Error(where + "expected REGEX=key:value,...");
  }
  QuantScheme scheme = default_;
  try {
    std::string_view rest = text.substr(equals + 1);
    while (true) {
      const size_t comma = rest.find(',');
      SetOption(rest.substr(0, comma), scheme);
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
    CheckScheme(scheme);
    rules_.push_back({Compile(text, text.substr(0, equals)), scheme});
  } catch (const Error& error) {
    throw Error(where + error.what());
  }
}

void SchemeRules::AddExclusion(std::string_view regex) {
  exclusions_.push_back(Compile(regex, regex));
}

std::optional<QuantScheme> SchemeRules::Match(std::string_view tensor) const {
  for (const Pattern& pattern : exclusions_) {
    if (Matches(pattern, tensor)) return std::nullopt;
  }
  const Rule* rule = FindRule(tensor);
  return rule != nullptr ? rule->scheme : default_;
}

bool SchemeRules::HasRule(std::string_view tensor) const {
  return FindRule(tensor) != nullptr;
}

std::vector<std::string> SchemeRules::Unused(
    std::span<const std::string> tensors) const {
  std::vector<std::string> unused;
  const auto check = [&](const Pattern& pattern) {
    for (const std::string& tensor : tensors) {
      if (Matches(pattern, tensor)) return;
    }
    unused.push_back(pattern.text);
  };
  for (const Pattern& pattern : exclusions_) check(pattern);
  for (const Rule& rule : rules_) check(rule.pattern);
  return unused;
}

}  // namespace lutra::qat
