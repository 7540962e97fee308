#include "lutra/kernels/activation_rounding.h"

#include <algorithm>
#include <cmath>

#include "kernels/base/parallel.h"
#include "kernels/base/round.h"
#include "kernels/lut/quantize.h"

namespace lutra::kernels {
namespace {

// Values per piece of work: some microseconds.
constexpr size_t kTile = 16384;

void RoundRun(const TokenScale& t, const float* x, size_t count, float* y,
              uint8_t* inside) {
  if (std::isnan(t.scale)) {
    std::fill(y, y + count, t.scale);
    if (inside != nullptr) std::fill(inside, inside + count, uint8_t{1});
    return;
  }
  const auto low = static_cast<float>(t.low - t.zero);
  const auto high = static_cast<float>(t.high - t.zero);
  if (inside != nullptr) {
    // One further than the codes go.
    for (size_t i = 0; i < count; ++i) {
      const float q = RoundToEven(x[i] * t.inverse, low - 1, high + 1);
      inside[i] = q >= low && q <= high;
    }
  }
  for (size_t i = 0; i < count; ++i) {
    y[i] = RoundToEven(x[i] * t.inverse, low, high) * t.scale;
  }
}

void RoundRow(const ActivationRounding& rounding, const float* x, size_t k,
              float* y, uint8_t* inside) {
  const TokenScale token = TokenScaleOf(rounding.type, x, k, rounding.bits);
  if (!Traits(rounding.type).has_group_scales || std::isnan(token.scale)) {
    const GemmArguments range{.range_min = rounding.range_min,
                              .range_max = rounding.range_max,
                              .activation_bits = rounding.bits};
    return RoundRun(WithRange(range, rounding.type, token), x, k, y, inside);
  }
  for (size_t c = 0; c < k; c += rounding.group_size) {
    const size_t count = std::min(rounding.group_size, k - c);
    RoundRun(TokenScaleOf(rounding.type, x + c, count, rounding.bits), x + c,
             count, y + c, inside == nullptr ? nullptr : inside + c);
  }
}

}  // namespace

void RoundActivations(const ActivationRounding& rounding, const float* x,
                      size_t m, size_t k, float* y, uint8_t* inside,
                      Executor* executor) noexcept {
  ParallelFor(executor, m, (kTile + k - 1) / k,
              [&](size_t begin, size_t end) noexcept {
                for (size_t row = begin; row < end; ++row) {
                  RoundRow(rounding, x + row * k, k, y + row * k,
                           inside == nullptr ? nullptr : inside + row * k);
                }
              });
}

}  // namespace lutra::kernels
