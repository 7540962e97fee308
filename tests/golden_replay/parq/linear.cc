#include "tests/golden_replay/parq/linear.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "lutra/runtime/error.h"

namespace lutra::qat {

void CompareLinear(const std::string& what, const LinearShape& shape,
                   std::span<const float> x, std::span<const float> w,
                   std::span<const float> bias, std::span<const float> expected,
                   golden::Comparison& comparison) {
  constexpr double kTolerance = 1e-5;
  const auto [m, n, k] = shape;
  if (x.size() != m * k || w.size() != n * k ||
      (!bias.empty() && bias.size() != n)) {
    throw Error(what + ": the recorded tensors do not fit together");
  }
  std::vector<float> y(m * n);
  std::vector<double> magnitudes(m * n);
  for (size_t row = 0; row < m; ++row) {
    double largest = 0.0;
    for (size_t column = 0; column < n; ++column) {
      double sum = bias.empty() ? 0.0 : static_cast<double>(bias[column]);
      double magnitude = std::fabs(sum);
      for (size_t i = 0; i < k; ++i) {
        const double product = static_cast<double>(x[row * k + i]) *
                               static_cast<double>(w[column * k + i]);
        sum += product;
        magnitude += std::fabs(product);
      }
      y[row * n + column] = static_cast<float>(sum);
      largest = std::max(largest, magnitude);
    }
    std::fill_n(magnitudes.begin() + static_cast<ptrdiff_t>(row * n), n,
                largest);
  }
  comparison.Within(what, y, expected, magnitudes, kTolerance);
}

}  // namespace lutra::qat
