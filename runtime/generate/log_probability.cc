#include "lutra/runtime/log_probability.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "lutra/kernels/vector_ops.h"
#include "lutra/runtime/error.h"
#include "runtime/generate/logits.h"

namespace lutra {
namespace {

// Of a positive normal number; exact operations, and a series whose rest is
// below 1e-17. The C library's may differ between machines.
double Log(double x) {
  constexpr double kLog2 = 0.693147180559945309417232121458;
  constexpr double kSqrtHalf = 0.707106781186547524400844362105;
  int exponent = 0;
  double mantissa = std::frexp(x, &exponent);  // 0.5 to 1
  if (mantissa < kSqrtHalf) {
    mantissa *= 2;
    --exponent;
  }
  // log m = 2 artanh s = 2 (s + s^3/3 + s^5/5 + ...), |s| < 0.1716.
  const double s = (mantissa - 1) / (mantissa + 1);
  const double square = s * s;
  double sum = 0;
  for (int power = 21; power >= 1; power -= 2) sum = sum * square + 1.0 / power;
  return exponent * kLog2 + 2 * s * sum;
}

// What is taken from a logit to get its logarithm of a probability.
double LogSumExp(Span<const float> logits) {
  CheckLogits(logits);
  const auto largest = std::max_element(logits.begin(), logits.end());
  if (largest == logits.end() || std::isinf(*largest)) {
    throw Error("sampler: every token is excluded");
  }
  // Far below where exp is 0.
  constexpr double kLeast = -1000;
  constexpr size_t kBlock = 256;
  float block[kBlock];
  double sum = 0;
  for (size_t begin = 0; begin < logits.size(); begin += kBlock) {
    const size_t count = std::min(kBlock, logits.size() - begin);
    for (size_t i = 0; i < count; ++i) {
      const double x = double{logits[begin + i]} - double{*largest};
      block[i] = static_cast<float>(std::max(x, kLeast));
    }
    kernels::Apply(kernels::Function::kExp, block, count, block);
    for (size_t i = 0; i < count; ++i) sum += double{block[i]};
  }
  return double{*largest} + Log(sum);
}

float LogProbability(float logit, double log_sum) {
  return static_cast<float>(double{logit} - log_sum);
}

}  // namespace

float LogProbability(Span<const float> logits, int32_t id) {
  if (id < 0 || static_cast<size_t>(id) >= logits.size()) {
    throw Error("sampler: token " + std::to_string(id) +
                " is outside the vocabulary of " +
                std::to_string(logits.size()));
  }
  return LogProbability(logits[static_cast<size_t>(id)], LogSumExp(logits));
}

std::vector<TokenLogProbability> TopLogProbabilities(Span<const float> logits,
                                                     size_t count) {
  if (count > logits.size()) {
    throw Error("sampler: " + std::to_string(count) +
                " log-probabilities of a vocabulary of " +
                std::to_string(logits.size()) + " are asked for");
  }
  const double log_sum = LogSumExp(logits);
  std::vector<TokenLogProbability> tokens(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    tokens[i] = {static_cast<int32_t>(i), logits[i]};
  }
  const auto end = tokens.begin() + static_cast<std::ptrdiff_t>(count);
  std::partial_sort(
      tokens.begin(), end, tokens.end(),
      [](const TokenLogProbability& a, const TokenLogProbability& b) {
        return a.log_probability != b.log_probability
                   ? a.log_probability > b.log_probability
                   : a.id < b.id;
      });
  tokens.resize(count);
  for (TokenLogProbability& token : tokens) {
    token.log_probability = LogProbability(token.log_probability, log_sum);
  }
  return tokens;
}

}  // namespace lutra
