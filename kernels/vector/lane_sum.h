#ifndef LUTRA_KERNELS_VECTOR_LANE_SUM_H_
#define LUTRA_KERNELS_VECTOR_LANE_SUM_H_

#include <cstddef>

namespace lutra::kernels {

// lanes(term(0) ... term(n - 1)) of vector_ops.h. For the references.
template <class Term>
float LaneSum(size_t n, const Term& term) {
  float lanes[16] = {};
  for (size_t i = 0; i < n; ++i) lanes[i % 16] += term(i);
  for (size_t width = 8; width > 0; width /= 2) {
    for (size_t i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  return lanes[0];
}

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_VECTOR_LANE_SUM_H_
