#ifndef LUTRA_TESTS_KERNELS_GEMM_CASE_H_
#define LUTRA_TESTS_KERNELS_GEMM_CASE_H_

#include <cstddef>
#include <random>
#include <string>
#include <vector>

#include "lutra/kernels/gemm.h"

// Calls of Gemm with random arguments, and their results.

namespace lutra::kernels {

// The arguments of a call. Rows of x are further apart than K, and the last has
// nothing behind it.
struct Input {
  size_t m = 0;
  size_t k = 0;
  size_t stride = 0;
  std::vector<float> x;
  std::vector<float> bias;  // may be empty
  Fusion fusion = Fusion::kNone;
  float clamp_min = 0;
  float clamp_max = 0;
  float range_min = 0;
  float range_max = 0;
  int activation_bits = 8;
};

// Among the tokens are zeros, subnormals, infinities and NaNs.
Input MakeInput(size_t m, const LutFormat& format, std::mt19937& rng);

// Token `t` of `input` in a call of its own.
Input OnlyToken(const Input& input, size_t t);

enum class Engine { kActive, kReference };

// y [M, N] of a call. Checks that nothing else is written. 0 threads: no
// executor.
std::vector<float> Compute(Engine engine, const LutMatrix& w,
                           ActivationType type, const Input& input,
                           size_t threads);

// The same bits, all NaNs being equal. Stops at the first difference.
void ExpectSameBits(const std::vector<float>& expected,
                    const std::vector<float>& actual, size_t n);

std::string Describe(const LutFormat& format, ActivationType type,
                     const Input& input, size_t threads);

}  // namespace lutra::kernels

#endif  // LUTRA_TESTS_KERNELS_GEMM_CASE_H_
