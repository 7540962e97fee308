#ifndef LUTRA_RUNTIME_OPS_TOKEN_POOL_H_
#define LUTRA_RUNTIME_OPS_TOKEN_POOL_H_

#include <cstddef>
#include <span>

namespace lutra {

// A token_pool of a whole text x [tokens, width], defined to the bit: row t of
// y is that of token 0, or with `mean` (x[0] + ... + x[t]) * (1 / (t + 1)), the
// sum in order and every operation rounded by itself. The definition in plain
// C++, which the operator is tested against.
void ReferenceTokenPool(std::span<const float> x, bool mean, size_t width,
                        float* y);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_OPS_TOKEN_POOL_H_
