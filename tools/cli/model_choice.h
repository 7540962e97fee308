#ifndef LUTRA_TOOLS_CLI_MODEL_CHOICE_H_
#define LUTRA_TOOLS_CLI_MODEL_CHOICE_H_

#include <string>
#include <string_view>

#include "lutra/runtime/program.h"

namespace lutra::tools {

// A model as the command line names it: FILE or FILE:ACTIVATIONS.
struct ModelChoice {
  std::string path;
  ActivationChoice activations = std::nullopt;
};
// What follows a colon but is no activation type belongs to the file's name.
ModelChoice ParseModelChoice(std::string_view text,
                             ActivationChoice default_activations);

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_CLI_MODEL_CHOICE_H_
