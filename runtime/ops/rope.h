#ifndef LUTRA_RUNTIME_OPS_ROPE_H_
#define LUTRA_RUNTIME_OPS_ROPE_H_

#include <cstddef>
#include <span>

namespace lutra {

// The rotary position embedding (Su et al., "RoFormer: Enhanced Transformer
// with Rotary Position Embedding", 2021) of one head x [head_dim] at
// `position`, defined to the bit. Pair i of x turns by position *
// frequencies[i]:
//   (c, s) = scale * DirectionOf(float(position), frequencies[i])
//   y[a] = x[a] * c - x[b] * s
//   y[b] = x[b] * c + x[a] * s
// every operation rounded by itself, where with `adjacent` pair i is
// (a, b) = (2i, 2i + 1), else (i, i + the number of pairs). What is in no pair
// stays as it is. The definition in plain C++, which the operator is tested
// against; x and y do not overlap.
void ReferenceRope(std::span<const float> x, size_t position,
                   std::span<const float> frequencies, bool adjacent,
                   float scale, float* y);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_OPS_ROPE_H_
