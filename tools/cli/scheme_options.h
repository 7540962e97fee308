#ifndef LUTRA_TOOLS_CLI_SCHEME_OPTIONS_H_
#define LUTRA_TOOLS_CLI_SCHEME_OPTIONS_H_

#include <optional>
#include <string>
#include <vector>

#include "lutra/qat/scheme.h"
#include "lutra/qat/spec.h"
#include "tools/cli/command_line.h"

namespace lutra::tools {

// --spec or --preset, or --bits, --group-size, --quantizer and --scale-type;
// --rule and --exclude, which come before what a specification says; and
// --activations. They mean the same to the verbs that train and pack.
struct SchemeOptions {
  qat::QuantScheme scheme;
  std::string group_size = qat::GroupSizeToString(scheme.group_size);
  std::string scale_type = std::string(qat::Name(scheme.scale_type));
  std::vector<std::string> rules;
  std::vector<std::string> exclusions;
  std::string spec;         // file; "" for none
  std::string preset;       // name; "" for none
  std::string activations;  // "" for none
  int activation_bits = 8;

  Option bits_option;
  Option group_size_option;
  Option quantizer_option;
  Option scale_type_option;
  Option rule_option;
  Option exclude_option;
  Option spec_option;
  Option preset_option;
  Option activations_option;
  Option activation_bits_option;

  // Whether the default scheme was given rather than left to be the default. A
  // type of scales alone is none: it goes with the scheme that there is.
  bool HasDefault() const;

  // Call after parsing. Throw UsageError, and lutra::Error for a bad
  // specification file.
  qat::SchemeRules Rules();
  // What is said about activations, with the exclusions. Nothing about weights
  // unless a specification says it.
  qat::QuantizationSpec Activations() const;

 private:
  std::optional<qat::QuantizationSpec> Specification() const;
};

// `options` must outlive the command line. PARQ's spellings --quant-bits and
// --quant-method are accepted too.
void AddSchemeOptions(Verb& verb, SchemeOptions& options);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_CLI_SCHEME_OPTIONS_H_
