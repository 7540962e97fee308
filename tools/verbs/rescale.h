#ifndef LUTRA_TOOLS_VERBS_RESCALE_H_
#define LUTRA_TOOLS_VERBS_RESCALE_H_

#include <optional>
#include <string>
#include <vector>

#include "lutra/packer/rescale.h"
#include "tools/cli/command_line.h"

namespace lutra::tools {

// How a model is rescaled, of the verbs rescale and pack.
struct RescaleChoice {
  std::string method;  // "": not at all
  std::optional<double> alpha = {};
  double clamp = packer::RescaleOptions().clamp;
  std::vector<std::string> layers = {};

  // Without rules and executor. Throws UsageError.
  packer::RescaleOptions Options() const;
};

// `method`: the name of the option that says how. Returns that.
Option AddRescaleOptions(Verb& verb, const char* method, RescaleChoice& choice);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_VERBS_RESCALE_H_
