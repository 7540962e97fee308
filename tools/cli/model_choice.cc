#include "tools/cli/model_choice.h"

#include "lutra/runtime/error.h"
#include "tools/cli/options.h"

namespace lutra::tools {

ModelChoice ParseModelChoice(std::string_view text,
                             ActivationChoice default_activations) {
  const size_t colon = text.rfind(':');
  if (colon != std::string_view::npos) {
    try {
      return {std::string(text.substr(0, colon)),
              ParseActivations(text.substr(colon + 1))};
    } catch (const Error&) {
      // A colon that belongs to the file's name.
    }
  }
  return {std::string(text), default_activations};
}

}  // namespace lutra::tools
