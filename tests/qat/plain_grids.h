#ifndef LUTRA_TESTS_QAT_PLAIN_GRIDS_H_
#define LUTRA_TESTS_QAT_PLAIN_GRIDS_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

// A grid and the maps onto it, written down plainly in double: what optimizers
// and trainers are compared with.

namespace lutra::qat {

using Vector = std::vector<double>;

// The grid of "max-uniform": 2^bits - 1 levels, evenly from minus the largest
// magnitude to it.
inline Vector MaxUniform(const double* p, size_t n, int bits) {
  double largest = 0;
  for (size_t i = 0; i < n; ++i) largest = std::max(largest, std::abs(p[i]));
  const int last = (1 << (bits - 1)) - 1;
  Vector grid;
  for (int k = -last; k <= last; ++k) grid.push_back(largest * k / last);
  return grid;
}

inline double Nearest(const Vector& grid, double p) {
  return *std::min_element(grid.begin(), grid.end(), [p](double a, double b) {
    return std::abs(a - p) < std::abs(b - p);
  });
}

// Away from the middle of the two levels around p, 1 / r times as far.
inline double Parq(const Vector& grid, double p, double r) {
  if (p <= grid.front() || p >= grid.back()) return Nearest(grid, p);
  const auto above = std::lower_bound(grid.begin(), grid.end(), p);
  const double middle = (above[-1] + above[0]) / 2;
  return std::clamp(middle + (p - middle) / r, above[-1], above[0]);
}

// As the paper of PARQ has it, with a sigmoid that falls.
inline double Slope(double done, double steepness) {
  const auto fall = [steepness](double x) {
    return 1 / (1 + std::exp(steepness * (x - 0.5)));
  };
  return (fall(done) - fall(1)) / (fall(0) - fall(1));
}

}  // namespace lutra::qat

#endif  // LUTRA_TESTS_QAT_PLAIN_GRIDS_H_
