#include "tools/scheme_options.h"

#include "tools/options.h"

namespace lutra::tools {

qat::SchemeRules SchemeOptions::Rules() {
  AsUsage("--group-size",
          [&] { scheme.group_size = qat::ParseGroupSize(group_size); });
  qat::SchemeRules result;
  AsUsage("--bits, --quantizer", [&] { result = qat::SchemeRules(scheme); });
  for (const std::string& rule : rules) {
    AsUsage("--rule", [&] { result.AddRule(rule); });
  }
  for (const std::string& exclusion : exclusions) {
    AsUsage("--exclude", [&] { result.AddExclusion(exclusion); });
  }
  return result;
}

void AddSchemeOptions(CLI::App& app, SchemeOptions& options) {
  options.bits_option = app.add_option("--bits,--quant-bits",
                                       options.scheme.bits, "Bits per weight")
                            ->type_name("N")
                            ->capture_default_str();
  options.group_size_option =
      app.add_option("--group-size", options.group_size,
                     "Columns that share a scale, or 'row'")
          ->type_name("N|row")
          ->capture_default_str();
  options.quantizer_option =
      app.add_option("--quantizer,--quant-method", options.scheme.quantizer,
                     "How the levels are chosen")
          ->type_name("NAME")
          ->capture_default_str();
  options.rule_option =
      app.add_option("--rule", options.rules,
                     "Another scheme for tensors whose name matches; may be "
                     "repeated, the first match counts")
          ->type_name("REGEX=KEY:VALUE,...")
          ->allow_extra_args(false);
  options.exclude_option =
      app.add_option("--exclude", options.exclusions,
                     "Leave tensors whose name matches as they are; may be "
                     "repeated")
          ->type_name("REGEX")
          ->allow_extra_args(false);
}

}  // namespace lutra::tools
