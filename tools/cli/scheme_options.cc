#include "tools/cli/scheme_options.h"

#include <optional>

#include "lutra/qat/spec.h"
#include "tools/cli/options.h"

namespace lutra::tools {

bool SchemeOptions::HasDefault() const {
  return bits_option->count() + group_size_option->count() +
             quantizer_option->count() + spec_option->count() +
             scale_type_option->count() + preset_option->count() >
         0;
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
  if (quantizer_option->count() == 0) {
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
                     "How the levels are chosen [stretched; absmax above 4 "
                     "bits]")
          ->type_name("NAME");
  options.scale_type_option =
      app.add_option("--scale-type", options.scale_type,
                     "How packed scales are stored: float32, bfloat16 or "
                     "float16")
          ->type_name("TYPE")
          ->capture_default_str();
  options.rule_option =
      app.add_option("--rule", options.rules,
                     "Another scheme for tensors whose name matches a regular "
                     "expression, or op:linear, op:embedding; may be repeated, "
                     "the first match counts")
          ->type_name("PATTERN=KEY:VALUE,...")
          ->allow_extra_args(false);
  options.exclude_option =
      app.add_option("--exclude", options.exclusions,
                     "Leave tensors whose name matches as they are; may be "
                     "repeated")
          ->type_name("PATTERN")
          ->allow_extra_args(false);
  std::string presets;
  for (const std::string_view preset : qat::ExamplePresets()) {
    presets += presets.empty() ? "e.g. " : ", ";
    presets += preset;
  }
  options.preset_option =
      app.add_option("--preset", options.preset,
                     "A specification by name (docs/qat.md), " + presets)
          ->type_name("NAME");
  options.spec_option =
      app.add_option("--spec", options.spec,
                     "File with a specification (docs/qat.md)")
          ->type_name("FILE.json")
          ->excludes(options.preset_option);
  for (CLI::Option* option :
       {options.bits_option, options.group_size_option,
        options.quantizer_option, options.scale_type_option}) {
    option->excludes(options.spec_option)->excludes(options.preset_option);
  }
}

}  // namespace lutra::tools
