#include "tools/cli/scheme_options.h"

#include <optional>

#include "tools/cli/options.h"
#include "tools/cli/usage_error.h"

namespace lutra::tools {
namespace {

constexpr std::string_view kPerGroup = "int8-per-group";
constexpr std::string_view kFloat = "float32";
qat::TensorSpec KindOf(std::string_view name) {
  qat::TensorSpec spec;
  spec.dynamic = !name.ends_with("static");
  spec.symmetric = name == kPerGroup || name.starts_with("int8-symmetric");
  spec.granularity = name == kPerGroup ? qat::Granularity::kGroup
                     : spec.dynamic    ? qat::Granularity::kToken
                                       : qat::Granularity::kTensor;
  return spec;
}

}  // namespace

bool SchemeOptions::HasDefault() const {
  return bits_option.Given() || group_size_option.Given() ||
         quantizer_option.Given() || spec_option.Given() ||
         preset_option.Given();
}

std::optional<qat::QuantizationSpec> SchemeOptions::Specification() const {
  if (!spec.empty()) return qat::QuantizationSpec::Load(spec);
  std::optional<qat::QuantizationSpec> specification;
  if (!preset.empty()) {
    AsUsage("--preset", [&] {
      specification = qat::QuantizationSpec(qat::PresetLayer(preset));
    });
  }
  return specification;
}

qat::QuantizationSpec SchemeOptions::Activations() const {
  std::optional<qat::QuantizationSpec> specification = Specification();
  if (!specification) {
    qat::LayerSpec layer;
    if (!activations.empty()) {
      layer.activations = KindOf(activations);
      layer.activations->bits = activation_bits;
      if (activations == kFloat) {
        layer.activations->bits = qat::TensorSpec::kFloatBits;
      }
      if (activations == kPerGroup) {
        AsUsage("--group-size", [&] {
          layer.activations->group_size = qat::ParseGroupSize(group_size);
        });
        if (layer.activations->group_size == 0) {
          throw UsageError("--activations",
                           "int8-per-group needs --group-size, of the weights");
        }
      }
    }
    specification = qat::QuantizationSpec(layer);
  }
  for (const std::string& exclusion : exclusions) {
    AsUsage("--exclude", [&] { specification->AddExclusion(exclusion); });
  }
  return *specification;
}

qat::SchemeRules SchemeOptions::Rules() {
  const std::optional<qat::QuantizationSpec> specification = Specification();
  AsUsage("--group-size", [&] { qat::SetGroupSize(group_size, scheme); });
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
                                       "Columns that share a scale, 1/N of a "
                                       "row, or 'row'")
                                  .TypeName("N|1/N|row")
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
  options.activations_option =
      verb.Add("--activations", options.activations,
               "How layers take their inputs, recorded in the model: int8 (a "
               "scale and a zero point for each token), int8-symmetric, "
               "int8-per-group (a scale for each group of columns), "
               "int8-static, int8-symmetric-static (one fixed range for all "
               "tokens), float32; without it the session decides")
          .TypeName("TYPE")
          .OneOf({"int8", "int8-symmetric", kPerGroup, "int8-static",
                  "int8-symmetric-static", kFloat});
  options.activation_bits_option =
      verb.Add("--activation-bits", options.activation_bits,
               "How many of the 8 bits are used, 2 to 8")
          .TypeName("N")
          .Range(2, 8)
          .Needs(options.activations_option)
          .ShowDefault();
  for (const Option& option :
       {options.bits_option, options.group_size_option,
        options.quantizer_option, options.scale_type_option,
        options.activations_option}) {
    option.Excludes(options.spec_option).Excludes(options.preset_option);
  }
}

}  // namespace lutra::tools
