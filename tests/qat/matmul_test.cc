#include "qat/grad/matmul.h"

#include <gtest/gtest.h>

#include <vector>

#include "lutra/runtime/random.h"

namespace lutra::qat {
namespace {

std::vector<float> RandomMatrix(size_t size, Random& random) {
  std::vector<float> matrix(size);
  for (float& value : matrix) value = random.Symmetric();
  return matrix;
}

// Sizes below, on and above what one task does, in both directions.
TEST(MatMulTest, MatchesTheDefinition) {
  Random random(1);
  const size_t shapes[][3] = {{1, 1, 1},   {3, 70, 5},   {70, 3, 5},
                              {64, 64, 1}, {65, 129, 7}, {130, 64, 400}};
  for (const auto& [m, n, k] : shapes) {
    for (const bool a_transposed : {false, true}) {
      for (const bool b_transposed : {false, true}) {
        for (const bool accumulate : {false, true}) {
          const std::vector<float> a = RandomMatrix(m * k, random);
          const std::vector<float> b = RandomMatrix(k * n, random);
          std::vector<float> c = RandomMatrix(m * n, random);
          const std::vector<float> before = c;
          MatMul({a.data(), a_transposed}, {b.data(), b_transposed}, m, n, k,
                 accumulate, {c.data()}, nullptr);
          for (size_t row = 0; row < m; ++row) {
            for (size_t column = 0; column < n; ++column) {
              double sum = accumulate ? double{before[row * n + column]} : 0.0;
              for (size_t i = 0; i < k; ++i) {
                sum +=
                    double{a[a_transposed ? i * m + row : row * k + i]} *
                    double{b[b_transposed ? column * k + i : i * n + column]};
              }
              // k products of at most 1, rounded to 2^-24 each.
              ASSERT_NEAR(c[row * n + column], sum,
                          static_cast<double>(k + 1) * 0x1p-24 * 8)
                  << m << "x" << n << "x" << k << " at " << row << "," << column
                  << (a_transposed ? " aT" : "") << (b_transposed ? " bT" : "");
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace lutra::qat
