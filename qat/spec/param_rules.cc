#include "lutra/qat/param_rules.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <system_error>

#include "lutra/runtime/error.h"
#include "qat/spec/rule_text.h"

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

}  // namespace

void ParamRules::Add(std::string_view text) {
  try {
    ParamSettings settings;
    const std::string_view regex =
        ParseRule(text, kKeys, "lr:X,decay:X",
                  [&](std::string_view key, std::string_view value) {
                    const double number = ParseNumber(key, value);
                    if (key == "lr") {
                      settings.rate = number;
                    } else {
                      settings.weight_decay = number;
                    }
                  });
    rules_.push_back(
        {std::string(text), NamePattern(std::string(regex)), settings});
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
