#include "tests/kernels/gemm_case.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <type_traits>

#include "lutra/kernels/thread_team.h"
#include "tests/kernels/random_matrix.h"

namespace lutra::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
// Fills what a kernel may not touch.
constexpr float kCanary = -12345.75f;

// Teams of 1 to 8 threads, started once.
Executor* TeamOf(size_t threads) {
  static std::map<size_t, std::unique_ptr<Executor>> teams;
  std::unique_ptr<Executor>& team = teams[threads];
  if (team == nullptr) team = StartThreadTeam(threads);
  return team.get();
}

// Makes the row an unusual one, or leaves it.
void MakeUnusual(float* row, size_t k, std::mt19937& rng) {
  switch (rng() % 12) {
    case 0:  // all zeros
      for (size_t i = 0; i < k; ++i) row[i] = 0;
      break;
    case 1:  // only the ends of the range
      for (size_t i = 0; i < k; ++i) row[i] = rng() % 2 ? 1.0f : -1.0f;
      break;
    case 2:
      row[rng() % k] = rng() % 2 ? kInfinity : -kInfinity;
      break;
    case 3:
      row[rng() % k] = kNaN;
      break;
    case 4:  // zero point at its limits
      for (size_t i = 0; i < k; ++i) row[i] = std::fabs(row[i]);
      break;
    case 5:
      for (size_t i = 0; i < k; ++i) row[i] = -std::fabs(row[i]);
      break;
    case 6:  // subnormal
      for (size_t i = 0; i < k; ++i) row[i] *= 0x1p-140f;
      break;
    case 7:  // max - min overflows
      row[0] = 3e38f;
      row[k - 1] = -3e38f;
      break;
    case 8:  // very different groups
      for (size_t i = 0; i < k; ++i) row[i] *= i / 32 % 2 ? 1e-6f : 1e6f;
      break;
    default:
      break;
  }
}

}  // namespace

Input MakeInput(size_t m, const LutFormat& format, std::mt19937& rng) {
  Input input;
  input.m = m;
  input.k = format.k;
  input.stride = format.k + rng() % 5;
  input.x.resize((m - 1) * input.stride + format.k);
  std::normal_distribution<float> normal(0.3f, 1.0f);
  for (size_t t = 0; t < m; ++t) {
    float* row = &input.x[t * input.stride];
    for (size_t k = 0; k < format.k; ++k) row[k] = normal(rng);
    MakeUnusual(row, format.k, rng);
  }
  if (rng() % 2) {
    input.bias.resize(format.n);
    for (float& b : input.bias) b = normal(rng);
  }
  if (rng() % 2) {
    input.fusion = static_cast<Fusion>(rng() % 6);
    input.clamp_min = -0.25f;
    input.clamp_max = 1.5f;
  }
  if (rng() % 4 == 0) {  // narrower than many tokens, or as wide as none
    const float width = rng() % 4 ? 0.5f : 1e30f;
    input.range_min = rng() % 3 ? -width : 0;
    input.range_max = input.range_min == 0 || rng() % 3 ? width / 2 : 0;
  }
  if (rng() % 4 == 0) input.activation_bits = 2 + static_cast<int>(rng() % 7);
  return input;
}

Input OnlyToken(const Input& input, size_t t) {
  Input one = input;
  const auto row = input.x.begin() + static_cast<ptrdiff_t>(t * input.stride);
  one.x.assign(row, row + static_cast<ptrdiff_t>(input.k));
  one.m = 1;
  one.stride = input.k;
  return one;
}

std::vector<float> Compute(Engine engine, const LutMatrix& w,
                           ActivationType type, const Input& input,
                           size_t threads) {
  const size_t n = w.format.n;
  const size_t y_stride = n + 3;
  std::vector<float> y(input.m * y_stride, kCanary);
  GemmArguments arguments;
  arguments.x = input.x.data();
  arguments.x_stride = input.stride;
  arguments.m = input.m;
  arguments.bias = input.bias.empty() ? nullptr : input.bias.data();
  arguments.y = y.data();
  arguments.y_stride = y_stride;
  arguments.fusion = input.fusion;
  arguments.clamp_min = input.clamp_min;
  arguments.clamp_max = input.clamp_max;
  arguments.range_min = input.range_min;
  arguments.range_max = input.range_max;
  arguments.activation_bits = input.activation_bits;
  if (engine == Engine::kReference) {
    ReferenceGemm(w, type, arguments);
  } else {
    const AlignedBytes scratch =
        AllocateAligned(GemmScratchBytes(w, type, input.m));
    Gemm(w, type, arguments, scratch.get(),
         threads == 0 ? nullptr : TeamOf(threads));
  }
  std::vector<float> result;
  for (size_t t = 0; t < input.m; ++t) {
    for (size_t i = 0; i < y_stride; ++i) {
      if (i < n) {
        result.push_back(y[t * y_stride + i]);
      } else {
        EXPECT_EQ(y[t * y_stride + i], kCanary) << "written outside y";
      }
    }
  }
  return result;
}

void ExpectSameBits(const std::vector<float>& expected,
                    const std::vector<float>& actual, size_t n) {
  ASSERT_EQ(expected.size(), actual.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    if (std::isnan(expected[i]) && std::isnan(actual[i])) continue;
    ASSERT_EQ(std::bit_cast<uint32_t>(expected[i]),
              std::bit_cast<uint32_t>(actual[i]))
        << "token " << i / n << " row " << i % n << ": " << expected[i]
        << " != " << actual[i];
  }
}

std::string Describe(const LutFormat& f, ActivationType type,
                     const Input& input, size_t threads) {
  const auto number = [](const char* name, auto value) {
    return std::string(name) + std::to_string(static_cast<int>(value));
  };
  return number("n=", f.n) + number(" k=", f.k) + number(" bits=", f.bits) +
         number(" group=", f.group_size) +
         number(" granularity=", f.table_granularity) +
         number(" scales=", f.scale_type) + number(" offsets=", f.offset_type) +
         number(" activations=", type) + number(" m=", input.m) +
         number(" fusion=", input.fusion) + number(" threads=", threads);
}

}  // namespace lutra::kernels
