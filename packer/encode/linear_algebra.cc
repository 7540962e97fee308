#include "packer/encode/linear_algebra.h"

#include <Eigen/Cholesky>

namespace lutra::packer {
namespace {

using Matrix =
    Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Eigen::Index Index(size_t i) { return static_cast<Eigen::Index>(i); }

}  // namespace

std::vector<float> UpperFactor(std::span<const float> matrix, size_t n) {
  // With rows and columns in reverse, L L^T gives R R^T: R is L reversed.
  Matrix reversed(Index(n), Index(n));
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < n; ++j) {
      reversed(Index(i), Index(j)) = matrix[(n - 1 - i) * n + (n - 1 - j)];
    }
  }
  const Eigen::LLT<Eigen::Ref<Matrix>> factor(reversed);
  if (factor.info() != Eigen::Success) return {};
  std::vector<float> upper(n * n);
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = i; j < n; ++j) {
      upper[i * n + j] =
          static_cast<float>(reversed(Index(n - 1 - i), Index(n - 1 - j)));
    }
  }
  return upper;
}

std::vector<float> DivideBy(std::span<const float> b, std::span<const float> a,
                            size_t n) {
  using Floats =
      Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const auto map = [n](std::span<const float> m) {
    return Eigen::Map<const Floats>(m.data(), Index(n), Index(n));
  };
  Matrix divisor = map(a).cast<double>();
  const Eigen::LLT<Eigen::Ref<Matrix>> factor(divisor);
  if (factor.info() != Eigen::Success) return {};
  // a is symmetric: the transpose of a^-1 b^T.
  Matrix quotient = map(b).transpose().cast<double>();
  factor.solveInPlace(quotient);
  std::vector<float> result(n * n);
  Eigen::Map<Floats>(result.data(), Index(n), Index(n)) =
      quotient.transpose().cast<float>();
  return result;
}

bool SolvePositiveDefinite(std::span<double> a, std::span<double> b) {
  const Eigen::Index n = Index(b.size());
  Eigen::Map<Matrix> matrix(a.data(), n, n);
  Eigen::Map<Eigen::VectorXd> vector(b.data(), n);
  const Eigen::LLT<Eigen::Ref<Matrix>> factor(matrix);
  if (factor.info() != Eigen::Success) return false;
  factor.solveInPlace(vector);
  return vector.allFinite();
}

}  // namespace lutra::packer
