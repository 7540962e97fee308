#ifndef LUTRA_TOOLS_SCHEME_OPTIONS_H_
#define LUTRA_TOOLS_SCHEME_OPTIONS_H_

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "lutra/qat/scheme.h"

namespace lutra::tools {

// --bits, --group-size, --quantizer, --rule and --exclude, which mean the same
// to the verbs that train and pack.
struct SchemeOptions {
  qat::QuantScheme scheme;
  std::string group_size = qat::GroupSizeToString(scheme.group_size);
  std::vector<std::string> rules;
  std::vector<std::string> exclusions;

  CLI::Option* bits_option = nullptr;
  CLI::Option* group_size_option = nullptr;
  CLI::Option* quantizer_option = nullptr;
  CLI::Option* rule_option = nullptr;
  CLI::Option* exclude_option = nullptr;

  // Call after parsing. Throws CLI::ValidationError.
  qat::SchemeRules Rules();
};

// `options` must outlive `app`. PARQ's spellings --quant-bits and
// --quant-method are accepted too.
void AddSchemeOptions(CLI::App& app, SchemeOptions& options);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_SCHEME_OPTIONS_H_
