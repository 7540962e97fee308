#include "lutra/qat/param_rules.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <system_error>

#include "lutra/runtime/error.h"
#include "runtime/base/unknown_word.h"

namespace lutra::qat {
namespace {

constexpr std::array<std::string_view, 2> kKeys = {"lr", "decay"};

double ParseNumber(std::string_view key, std::string_view text) {
  double value = 0.0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || !std::isfinite(value) ||
      value < 0.0) {
    throw Error("'" + std::string(key) + ":" + std::string(text) +
                "' is not a number from 0 on");
  }
  return value;
}

void Set(std::string_view option, ParamSettings& settings) {
  const size_t colon = option.find(':');
  const std::string_view key = option.substr(0, colon);
  if (std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end()) {
    throw Error(UnknownWord("key", key, kKeys));
  }
  if (colon == std::string_view::npos) {
    throw Error("'" + std::string(key) + "' has no value");
  }
  const double value = ParseNumber(key, option.substr(colon + 1));
  if (key == "lr") {
    settings.rate = value;
  } else {
    settings.weight_decay = value;
  }
}

}  // namespace

void ParamRules::Add(std::string_view text) {
  try {
    // The expression may hold '=' itself; the settings cannot.
    const size_t equals = text.rfind('=');
    if (equals == std::string_view::npos || equals == 0) {
      throw Error("expected REGEX=lr:X,decay:X");
    }
    ParamSettings settings;
    std::string_view rest = text.substr(equals + 1);
    while (true) {
      const size_t comma = rest.find(',');
      Set(rest.substr(0, comma), settings);
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
    rules_.push_back({std::string(text),
                      NamePattern(std::string(text.substr(0, equals))),
                      settings});
  } catch (const Error& error) {
    throw Error("rule '" + std::string(text) + "': " + error.what());
  }
}

ParamSettingsMap ParamRules::Resolve(Span<const std::string> names) const {
  ParamSettingsMap result;
  for (const std::string& name : names) {
    const auto rule =
        std::find_if(rules_.begin(), rules_.end(),
                     [&](const Rule& r) { return r.pattern.IsIn(name); });
    if (rule != rules_.end()) result.emplace(name, rule->settings);
  }
  return result;
}

std::vector<std::string> ParamRules::Unused(
    Span<const std::string> names) const {
  std::vector<std::string> unused;
  for (const Rule& rule : rules_) {
    if (std::none_of(names.begin(), names.end(), [&](const std::string& name) {
          return rule.pattern.IsIn(name);
        })) {
      unused.push_back(rule.text);
    }
  }
  return unused;
}

}  // namespace lutra::qat
