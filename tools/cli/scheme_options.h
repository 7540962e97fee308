#ifndef LUTRA_TOOLS_CLI_SCHEME_OPTIONS_H_
#define LUTRA_TOOLS_CLI_SCHEME_OPTIONS_H_

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "lutra/qat/scheme.h"

namespace lutra::tools {

// --spec or --preset, or --bits, --group-size, --quantizer and --scale-type;
// and --rule and
// --exclude, which come before what a specification says. They mean the same to
// the verbs that train and pack.
struct SchemeOptions {
  qat::QuantScheme scheme;
  std::string group_size = qat::GroupSizeToString(scheme.group_size);
  std::string scale_type = std::string(qat::Name(scheme.scale_type));
  std::vector<std::string> rules;
  std::vector<std::string> exclusions;
  std::string spec;    // file; "" for none
  std::string preset;  // name; "" for none

  CLI::Option* bits_option = nullptr;
  CLI::Option* group_size_option = nullptr;
  CLI::Option* quantizer_option = nullptr;
  CLI::Option* scale_type_option = nullptr;
  CLI::Option* rule_option = nullptr;
  CLI::Option* exclude_option = nullptr;
  CLI::Option* spec_option = nullptr;
  CLI::Option* preset_option = nullptr;

  // Whether the default scheme was given rather than left to be the default.
  bool HasDefault() const;

  // Call after parsing. Throws CLI::ValidationError, and lutra::Error for a bad
  // specification file.
  qat::SchemeRules Rules();
};

// `options` must outlive `app`. PARQ's spellings --quant-bits and
// --quant-method are accepted too.
void AddSchemeOptions(CLI::App& app, SchemeOptions& options);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_CLI_SCHEME_OPTIONS_H_
