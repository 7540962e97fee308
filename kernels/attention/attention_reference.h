#ifndef LUTRA_KERNELS_ATTENTION_ATTENTION_REFERENCE_H_
#define LUTRA_KERNELS_ATTENTION_ATTENTION_REFERENCE_H_

#include <cstddef>

#include "lutra/kernels/attention.h"

namespace lutra::kernels {

// AttendTokens of attention.h in plain C++, for targets without vectors.
void AttendTokensPlainly(const AttentionShape& shape,
                         const AttentionTokens& tokens, size_t first,
                         size_t count, const AttentionCache& cache,
                         void* scratch);

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_ATTENTION_ATTENTION_REFERENCE_H_
