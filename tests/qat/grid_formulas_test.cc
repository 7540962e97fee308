// The formulas of quantizers.h, worked out by hand on numbers that need no
// rounding of their own.

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "lutra/qat/quantizers.h"

namespace lutra::qat {
namespace {

using Values = std::vector<float>;

void ExpectQuantized(const Quantizer& quantizer, int bits, const Values& p,
                     const Values& q, const Values& grid) {
  for (const bool per_row : {false, true}) {
    Values got_q(p.size());
    Values got_grid(quantizer.GridSize(bits));
    ASSERT_EQ(got_grid.size(), grid.size());
    quantizer.Quantize({p.data(), 1, p.size(), per_row}, bits, got_q.data(),
                       got_grid.data());
    EXPECT_EQ(got_q, q);
    EXPECT_EQ(got_grid, grid);
  }
}

void ExpectQuantized(const char* name, int bits, const Values& p,
                     const Values& q, const Values& grid) {
  SCOPED_TRACE(name);
  ExpectQuantized(*MakeQuantizer(name), bits, p, q, grid);
}

// mean|p| = 3/2, so M = 3 and s = 2. What lies half-way, as -2, 0 and 2, takes
// the code that is even.
TEST(GridFormulasTest, Stretched) {
  for (const char* name : {"stretched", "uniform"}) {
    ExpectQuantized(name, 2, {-4, -1, 0, 2, 1, 1}, {-3, -1, 1, 1, 1, 1},
                    {-3, -1, 1, 3});
    // max|p| is less than twice the mean: M = 3 again.
    ExpectQuantized(name, 2, {-3, 3, 2.5f, -2}, {-3, 3, 3, -3}, {-3, -1, 1, 3});
    // One bit: plus or minus the mean.
    ExpectQuantized(name, 1, {-4, -1, 0.5f, 2.5f}, {-2, -2, 2, 2}, {-2, 2});
  }
}

TEST(GridFormulasTest, UniformWithOptions) {
  UniformOptions options;
  options.int_shift = 1;
  options.zero_point = 0;  // M = 3, A = 1
  ExpectQuantized(*MakeUniformQuantizer(options), 2, {-4, -1, 0, 2, 1, 1},
                  {-3, 0, 0, 3, 0, 0}, {-3, 0, 3});
  options.scale = UniformOptions::Scale::kMax;  // M = 4
  ExpectQuantized(*MakeUniformQuantizer(options), 2, {-4, -1, 0, 2, 3, 1},
                  {-4, 0, 0, 0, 4, 0}, {-4, 0, 4});
  options.center = true;  // the mean is 2
  ExpectQuantized(*MakeUniformQuantizer(options), 2, {-2, 1, 2, 6, 3.5f, 1.5f},
                  {-2, 2, 2, 6, 2, 2}, {-2, 2, 6});
}

TEST(GridFormulasTest, MaxUniform) {
  for (const char* name : {"max-uniform", "absmax"}) {
    ExpectQuantized(name, 3, {-6, -1, 1, 2.9f, 3.1f, 5}, {-6, 0, 0, 2, 4, 4},
                    {-6, -4, -2, 0, 2, 4, 6});
  }
}

TEST(GridFormulasTest, Ternary) {
  ExpectQuantized("ternary", 0, {-3, -1.1f, -1, 0.9f, 1, 1.25f, 3},
                  {-2, -2, 0, 0, 0, 2, 2}, {-2, 0, 2});
}

TEST(GridFormulasTest, AsymmetricUniform) {
  ExpectQuantized("asymmetric-uniform", 2, {-4, 2, -1, 1.2f, -2.5f},
                  {-4, 2, 0, 2, -2}, {-4, -2, 0, 2});
  // 3 is nearest to 2 of the levels, though rne(3/2) = 2.
  ExpectQuantized("asymmetric-uniform", 2, {-3, 3, -1.2f}, {-4, 2, -2},
                  {-4, -2, 0, 2});
  // z = rne(-1/2) = 0, so the minimum is not a level.
  const Values p = {-1, 5, 0.9f, 1, 3.2f};
  const Values q = {0, 4, 0, 0, 4};
  ExpectQuantized("asymmetric-uniform", 2, p, q, {0, 2, 4, 6});
  ExpectQuantized(*MakeAsymmetricUniformQuantizer(false, /*compat=*/true), 2, p,
                  q, {-4, -2, 0, 2});
}

// v1 = 2, what is left is -5/2, 1, -1/2, -1, so v2 = 5/4.
TEST(GridFormulasTest, Lsbq) {
  const Values p = {-4.5f, -1, 1.5f, 1};
  ExpectQuantized("lsbq", 2, p, {-3.25f, -0.75f, 0.75f, 0.75f},
                  {-3.25f, -0.75f, 0.75f, 3.25f});
  ExpectQuantized("lsbq", 1, p, {-2, -2, 2, 2}, {-2, 2});
  const float v = 2 * 1.1f;  // half of it is 1.1
  ExpectQuantized("lsbq", 0, p, {-v, 0, v, 0}, {-v, 0, v});
  ExpectQuantized("lsbq", 0, {4.5f, 1, -1.375f, -1.125f}, {v, 0, -v, -v},
                  {-v, 0, v});
  ExpectQuantized("lsbq", 0, {-4.5f, -1, 1.375f, 1.125f}, {-v, 0, v, v},
                  {-v, 0, v});
  LsbqOptions options;
  options.ternary_multiplier = 0.875;  // 1 is more than half of 1.75
  ExpectQuantized(*MakeLsbqQuantizer(options), 0, p,
                  {-1.75f, -1.75f, 1.75f, 1.75f}, {-1.75f, 0, 1.75f});
}

TEST(GridFormulasTest, SymmetricIntegers) {
  // max|p| / (3/2) = 2; 3 is clipped.
  ExpectQuantized("intx", 2, {-3, -2.9f, 1, 3, 0.9f}, {-4, -2, 0, 2, 0},
                  {-4, -2, 0, 2});
  // -8 / -2 = 4 is more than 2 / 1, then 4 / 1 is more than -1 / -2.
  ExpectQuantized("intx-no-clipping", 2, {-8, 2, 1.9f, -5, -6, -2},
                  {-8, 0, 0, -4, -8, 0}, {-8, -4, 0, 4});
  ExpectQuantized("intx-no-clipping", 2, {-1, 4, -2, 2.1f}, {0, 4, 0, 4},
                  {-8, -4, 0, 4});
}

TEST(GridFormulasTest, AsymmetricIntegers) {
  // Zero is representable although all values are above it.
  ExpectQuantized("intx-asymmetric", 2, {1, 6, 2.9f, 3.1f}, {0, 6, 2, 4},
                  {0, 2, 4, 6});
  // rne(-1/2) = 0.
  ExpectQuantized("intx-asymmetric", 2, {-1, 5, 1.2f}, {0, 4, 2}, {0, 2, 4, 6});
  ExpectQuantized("intx-asymmetric", 2, {-3, 3, -1.2f}, {-4, 2, -2},
                  {-4, -2, 0, 2});
  // The step is that of the true range; the zero point is clipped.
  ExpectQuantized("intx-asymmetric-no-zero", 2, {4, 10, 7.1f, 4.1f},
                  {4, 6, 6, 4}, {0, 2, 4, 6});
}

TEST(GridFormulasTest, Int4) {
  Values grid;
  for (int k = 0; k < 16; ++k) grid.push_back(static_cast<float>(2 * k - 1));
  ExpectQuantized("int4", 4, {-1, 29, 0.2f, 1.9f, 2.2f}, {-1, 29, 1, 1, 3},
                  grid);
  // The smallest step is 1e-6.
  const Values zeros(4);
  Values q(4);
  MakeQuantizer("int4")->Quantize({zeros.data(), 1, 4, true}, 4, q.data(),
                                  grid.data());
  EXPECT_EQ(q, zeros);
  EXPECT_NEAR(grid[15] - grid[0], 15e-6, 1e-10);
}

}  // namespace
}  // namespace lutra::qat
