#ifndef LUTRA_QAT_GRAD_SUM_H_
#define LUTRA_QAT_GRAD_SUM_H_

#include <cstddef>

namespace lutra::qat {

// term(0) + ... + term(n - 1) in 16 lanes, which vectors compute, and which
// lose less to rounding than one long sum.
template <typename Term>
float Sum(size_t n, const Term& term) {
  constexpr size_t kLanes = 16;
  float lanes[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) lanes[j] += term(i + j);
  }
  for (size_t j = 0; i < n; ++i, ++j) lanes[j] += term(i);
  double sum = 0.0;
  for (const float lane : lanes) sum += lane;
  return static_cast<float>(sum);
}

}  // namespace lutra::qat

#endif  // LUTRA_QAT_GRAD_SUM_H_
