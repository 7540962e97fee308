#ifndef LUTRA_RUNTIME_GENERATE_LOGITS_H_
#define LUTRA_RUNTIME_GENERATE_LOGITS_H_

#include "lutra/kernels/span.h"

namespace lutra {

// Throws Error, "sampler: ...", unless all are finite or minus infinity.
void CheckLogits(Span<const float> logits);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_GENERATE_LOGITS_H_
