#ifndef LUTRA_RUNTIME_OPS_CAUSAL_CONV1D_H_
#define LUTRA_RUNTIME_OPS_CAUSAL_CONV1D_H_

#include <cstddef>
#include <span>

namespace lutra {

// A causal_conv1d of a whole text x [tokens, width], defined to the bit: for
// token t and channel i, beginning with 0 and with every operation rounded by
// itself,
//   y[t][i] = y[t][i] + weight[j][i] * x[t - (taps - 1) + j][i]   j in order
//   y[t][i] = y[t][i] + bias[i]                                   if there is
//   one
// where j whose token would be in front of the text are left out. The
// definition in plain C++, which the operator is tested against.
void ReferenceCausalConv1d(std::span<const float> x,
                           std::span<const float> weight, const float* bias,
                           size_t width, float* y);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_OPS_CAUSAL_CONV1D_H_
