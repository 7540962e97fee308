#include "lutra/qat/gradient_clip.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/base/parallel.h"

namespace lutra::qat {
namespace {

// Values per piece of work, and per sum: the norm depends on it to the bit.
constexpr size_t kValuesPerSum = 16384;
// Pieces whose sums are held until all are done.
constexpr size_t kPieces = 64;

double SumOfSquares(const float* x, size_t n) {
  std::array<double, 8> lanes{};
  size_t i = 0;
  for (; i + lanes.size() <= n; i += lanes.size()) {
    for (size_t j = 0; j < lanes.size(); ++j) {
      const double value = x[i + j];
      lanes[j] += value * value;
    }
  }
  double sum = 0.0;
  for (; i < n; ++i) sum += static_cast<double>(x[i]) * x[i];
  for (const double lane : lanes) sum += lane;
  return sum;
}

// In the order of the values, whatever threads there are.
double SumOfSquares(const std::vector<float>& values, Executor* executor) {
  double sum = 0.0;
  for (size_t begin = 0; begin < values.size();
       begin += kPieces * kValuesPerSum) {
    const size_t count =
        std::min(kPieces * kValuesPerSum, values.size() - begin);
    std::array<double, kPieces> sums{};
    ParallelFor(executor, count, kValuesPerSum, [&](size_t first, size_t end) {
      sums[first / kValuesPerSum] =
          SumOfSquares(values.data() + begin + first, end - first);
    });
    for (const double part : sums) sum += part;
  }
  return sum;
}

}  // namespace

double ClipGradients(TensorMap& gradients, double most, Executor* executor) {
  double sum = 0.0;
  for (const auto& [name, gradient] : gradients) {
    sum += SumOfSquares(gradient.values, executor);
  }
  const double norm = std::sqrt(sum);
  const double factor = most / (norm + 1e-6);
  if (!(most > 0.0 && factor < 1.0)) return norm;
  const auto rounded = static_cast<float>(factor);
  for (auto& [name, gradient] : gradients) {
    float* values = gradient.values.data();
    ParallelFor(executor, gradient.values.size(), kValuesPerSum,
                [=](size_t begin, size_t end) {
                  for (size_t i = begin; i < end; ++i) values[i] *= rounded;
                });
  }
  return norm;
}

}  // namespace lutra::qat
