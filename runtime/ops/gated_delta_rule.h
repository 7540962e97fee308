#ifndef LUTRA_RUNTIME_OPS_GATED_DELTA_RULE_H_
#define LUTRA_RUNTIME_OPS_GATED_DELTA_RULE_H_

#include <cstddef>

namespace lutra {

// One head and one token of the gated delta rule (Yang et al., "Gated Delta
// Networks", 2024), defined to the bit. With the matrix S [dk][dv], every
// operation rounded by itself and sums over i in order, beginning with 0:
//   S[i][j] = S[i][j] * decay
//   u[j] = (v[j] - sum over i of k[i] * S[i][j]) * beta
//   S[i][j] = S[i][j] + k[i] * u[j]
//   y[j] = sum over i of q[i] * S[i][j]
// `u` is [dv], to work in. Nothing overlaps.
void GatedDeltaRule(const float* q, const float* k, const float* v, float decay,
                    float beta, size_t dk, size_t dv, float* s, float* u,
                    float* y);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_OPS_GATED_DELTA_RULE_H_
