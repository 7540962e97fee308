#include "runtime/generate/logits.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "lutra/runtime/error.h"

namespace lutra {

void CheckLogits(Span<const float> logits) {
  bool usable = true;
  for (const float logit : logits) {
    // False for NaN too.
    usable &= logit <= std::numeric_limits<float>::max();
  }
  if (usable) return;
  const auto wrong =
      std::find_if(logits.begin(), logits.end(), [](float logit) {
        return !(logit <= std::numeric_limits<float>::max());
      });
  throw Error("sampler: the logit of token " +
              std::to_string(wrong - logits.begin()) + " is " +
              (std::isnan(*wrong) ? "NaN" : "infinite"));
}

}  // namespace lutra
