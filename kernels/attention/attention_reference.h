#ifndef LUTRA_KERNELS_ATTENTION_ATTENTION_REFERENCE_H_
#define LUTRA_KERNELS_ATTENTION_ATTENTION_REFERENCE_H_

#include <cstddef>

#include "lutra/kernels/attention.h"

namespace lutra::kernels {

// AttendToken of attention.h in plain C++, for targets without vectors.
void AttendTokenPlainly(const AttentionShape& shape, size_t position,
                        size_t first, size_t count, const float* q,
                        const AttentionCache& cache, void* scratch, float* y);

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_ATTENTION_ATTENTION_REFERENCE_H_
