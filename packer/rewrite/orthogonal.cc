#include "packer/rewrite/orthogonal.h"

#include <bit>
#include <cmath>

#include "lutra/runtime/random.h"

namespace lutra::packer {
namespace {

// Rows of random numbers made orthogonal one after the other (Gram-Schmidt,
// twice, which is enough in double precision).
std::vector<double> RandomOrthogonal(size_t n, Random& random) {
  std::vector<double> q(n * n);
  for (size_t i = 0; i < n; ++i) {
    double* row = &q[i * n];
    for (size_t j = 0; j < n; ++j) row[j] = 2 * random.Uniform() - 1;
    for (int pass = 0; pass < 2; ++pass) {
      for (size_t other = 0; other < i; ++other) {
        double product = 0;
        for (size_t j = 0; j < n; ++j) product += row[j] * q[other * n + j];
        for (size_t j = 0; j < n; ++j) row[j] -= product * q[other * n + j];
      }
    }
    double squares = 0;
    for (size_t j = 0; j < n; ++j) squares += row[j] * row[j];
    for (size_t j = 0; j < n; ++j) row[j] /= std::sqrt(squares);
  }
  return q;
}

// Of the Hadamard matrix, which is symmetric.
int Sign(size_t i, size_t j) { return std::popcount(i & j) % 2 == 0 ? 1 : -1; }

}  // namespace

std::vector<float> RandomRotation(size_t n, uint64_t seed) {
  Random random(seed);
  const size_t power = n & (~n + 1);  // the largest power of two in it
  const size_t rest = n / power;
  const std::vector<double> core = RandomOrthogonal(rest, random);
  const double size = 1 / std::sqrt(static_cast<double>(power));
  std::vector<float> rotation(n * n);
  for (size_t i = 0; i < n; ++i) {
    const double sign = random.Below(2) == 0 ? size : -size;
    for (size_t j = 0; j < n; ++j) {
      rotation[i * n + j] = static_cast<float>(
          sign * Sign(i / rest, j / rest) * core[i % rest * rest + j % rest]);
    }
  }
  return rotation;
}

}  // namespace lutra::packer
