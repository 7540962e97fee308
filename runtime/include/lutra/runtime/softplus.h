#ifndef LUTRA_RUNTIME_SOFTPLUS_H_
#define LUTRA_RUNTIME_SOFTPLUS_H_

#include "lutra/kernels/vector_ops.h"

namespace lutra {

// ln(1 + e^x) to 3e-7 of its value, with the same bits on every CPU: the larger
// of x and 0, and ln(1 + u) with u = e^-|x| as the series 2 (s + s^3/3 + ...)
// of s = u / (2 + u), which is at most 1/3.
inline float Softplus(float x) {
  float u = x < 0 ? x : -x;
  kernels::Apply(kernels::Function::kExp, &u, 1, &u);
  const float s = u / (2.0f + u);
  const float square = s * s;
  float sum = 1.0f / 15;
  for (const float term :
       {1.0f / 13, 1.0f / 11, 1.0f / 9, 1.0f / 7, 1.0f / 5, 1.0f / 3, 1.0f}) {
    sum = sum * square + term;
  }
  return (x > 0 ? x : 0.0f) + 2.0f * s * sum;
}

}  // namespace lutra

#endif  // LUTRA_RUNTIME_SOFTPLUS_H_
