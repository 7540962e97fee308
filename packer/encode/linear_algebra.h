#ifndef LUTRA_PACKER_ENCODE_LINEAR_ALGEBRA_H_
#define LUTRA_PACKER_ENCODE_LINEAR_ALGEBRA_H_

#include <cstddef>
#include <span>
#include <vector>

// What rounding with data needs of linear algebra. Eigen does the work, and
// only linear_algebra.cc sees it: its headers take seconds to compile.

namespace lutra::packer {

// The upper triangular R with R R^T = the symmetric matrix [n, n], in double
// precision; zeros below the diagonal. Empty if the matrix is not positive
// definite, nearly.
std::vector<float> UpperFactor(std::span<const float> matrix, size_t n);

// b a^-1 for a symmetric positive definite a, both [n, n]: in double precision.
// Empty if a is not positive definite, nearly.
std::vector<float> DivideBy(std::span<const float> b, std::span<const float> a,
                            size_t n);

// Solves a x = b for a symmetric positive definite matrix a [n, n]; both are
// overwritten, b by x. Returns false, and leaves b undefined, if it is not.
bool SolvePositiveDefinite(std::span<double> a, std::span<double> b);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_ENCODE_LINEAR_ALGEBRA_H_
