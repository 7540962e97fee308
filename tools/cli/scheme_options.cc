#include "tools/cli/scheme_options.h"

#include <optional>

#include "lutra/qat/spec.h"
#include "tools/cli/options.h"

namespace lutra::tools {

bool SchemeOptions::HasDefault() const {
  return bits_option.Given() || group_size_option.Given() ||
         quantizer_option.Given() || spec_option.Given() ||
         preset_option.Given();
}

qat::SchemeRules SchemeOptions::Rules() {
  std::optional<qat::QuantizationSpec> specification;
  if (!spec.empty()) specification = qat::QuantizationSpec::Load(spec);
  if (!preset.empty()) {
    AsUsage("--preset", [&] {
      specification = qat::QuantizationSpec(qat::PresetLayer(preset));
    });
  }
  AsUsage("--group-size",
          [&] { scheme.group_size = qat::ParseGroupSize(group_size); });
  qat::SchemeRules result;
  AsUsage("--scale-type",
          [&] { scheme.scale_type = qat::ParseScaleType(scale_type); });
  if (!quantizer_option.Given()) {
    scheme.quantizer = qat::DefaultQuantizer(scheme.bits);
  }
  AsUsage("--bits, --quantizer", [&] {
    result = qat::SchemeRules(specification ? specification->DefaultScheme()
                                            : std::optional(scheme));
  });
  for (const std::string& rule : rules) {
    AsUsage("--rule", [&] { result.AddRule(rule); });
  }
  for (const std::string& exclusion : exclusions) {
    AsUsage("--exclude", [&] { result.AddExclusion(exclusion); });
  }
  if (specification) specification->AppendTo(result);
  return result;
}

void AddSchemeOptions(Verb& verb, SchemeOptions& options) {
  options.bits_option = verb.Add("--bits,--quant-bits", options.scheme.bits,
                                 "Bits per weight; 0: ternary")
                            .TypeName("N")
                            .ShowDefault();
  options.group_size_option = verb.Add("--group-size", options.group_size,
                                       "Columns that share a scale, or 'row'")
                                  .TypeName("N|row")
                                  .ShowDefault();
  options.quantizer_option =
      verb.Add("--quantizer,--quant-method", options.scheme.quantizer,
               "How the levels are chosen [stretched; ternary for 0 bits, "
               "absmax "
               "above 4]")
          .TypeName("NAME");
  options.scale_type_option =
      verb.Add("--scale-type", options.scale_type,
               "How packed scales are stored: float32, bfloat16, float16, "
               "two-level (a byte, times a number of 256 columns) or "
               "power-of-two (a byte)")
          .TypeName("TYPE")
          .ShowDefault();
  options.rule_option =
      verb.Add("--rule", options.rules,
               "Another scheme for tensors whose name matches a regular "
               "expression, or op:linear, op:embedding; may be repeated, "
               "the first match counts")
          .TypeName("PATTERN=KEY:VALUE,...")
          .OneAtATime();
  options.exclude_option =
      verb.Add("--exclude", options.exclusions,
               "Leave tensors whose name matches as they are; may be "
               "repeated")
          .TypeName("PATTERN")
          .OneAtATime();
  std::string presets;
  for (const std::string_view preset : qat::ExamplePresets()) {
    presets += presets.empty() ? "e.g. " : ", ";
    presets += preset;
  }
  options.preset_option =
      verb.Add("--preset", options.preset,
               "A specification by name (docs/qat.md), " + presets)
          .TypeName("NAME");
  options.spec_option = verb.Add("--spec", options.spec,
                                 "File with a specification (docs/qat.md)")
                            .TypeName("FILE.json")
                            .Excludes(options.preset_option);
  for (const Option& option :
       {options.bits_option, options.group_size_option,
        options.quantizer_option, options.scale_type_option}) {
    option.Excludes(options.spec_option).Excludes(options.preset_option);
  }
}

}  // namespace lutra::tools
