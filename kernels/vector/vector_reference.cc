#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/base/half.h"
#include "kernels/vector/exp.h"
#include "kernels/vector/lane_sum.h"
#include "lutra/kernels/vector_ops.h"

namespace lutra::kernels::reference {
namespace {

float Evaluate(Function function, float x) {
  switch (function) {
    case Function::kExp:
      return Exp(x);
    case Function::kRelu:
      return x < 0.0f ? 0.0f : x;
    case Function::kSigmoid:
      return Sigmoid(x);
    case Function::kTanh:
      return Tanh(x);
    case Function::kSilu:
      return Silu(x);
    case Function::kGelu:
      return Gelu(x);
    case Function::kGeluTanh:
      return GeluTanh(x);
    case Function::kRelu2:
      return Relu2(x);
  }
  return x;
}

}  // namespace

void Apply(Function function, const float* x, size_t n, float* y) noexcept {
  for (size_t i = 0; i < n; ++i) y[i] = Evaluate(function, x[i]);
}

void ToFloat32(FloatType type, const void* x, size_t n, float* y) noexcept {
  const auto* floats = static_cast<const float*>(x);
  const auto* halves = static_cast<const uint16_t*>(x);
  for (size_t i = 0; i < n; ++i) {
    y[i] = type == FloatType::kFloat32   ? floats[i]
           : type == FloatType::kFloat16 ? FloatFromFloat16(halves[i])
                                         : FloatFromBFloat16(halves[i]);
  }
}

void ToFloat16(const float* x, size_t n, uint16_t* y) noexcept {
  for (size_t i = 0; i < n; ++i) y[i] = Float16FromFloat(x[i]);
}

void SoftmaxRow(const float* x, size_t n, float* y) noexcept {
  float largest = -std::numeric_limits<float>::infinity();
  for (size_t i = 0; i < n; ++i) largest = std::max(largest, x[i]);
  for (size_t i = 0; i < n; ++i) y[i] = Exp(x[i] - largest);
  const float scale = 1.0f / LaneSum(n, [&](size_t i) { return y[i]; });
  for (size_t i = 0; i < n; ++i) y[i] *= scale;
}

void RmsNormRow(const float* x, const float* weight, size_t n, float eps,
                float* y) noexcept {
  const float sum = LaneSum(n, [&](size_t i) { return x[i] * x[i]; });
  const float scale = 1.0f / std::sqrt(sum / static_cast<float>(n) + eps);
  for (size_t i = 0; i < n; ++i) y[i] = (x[i] * scale) * weight[i];
}

void LayerNormRow(const float* x, const float* weight, const float* bias,
                  size_t n, float eps, float* y) noexcept {
  const auto count = static_cast<float>(n);
  const float mean = LaneSum(n, [&](size_t i) { return x[i]; }) / count;
  const float sum =
      LaneSum(n, [&](size_t i) { return (x[i] - mean) * (x[i] - mean); });
  const float scale = 1.0f / std::sqrt(sum / count + eps);
  for (size_t i = 0; i < n; ++i) {
    const float normal = ((x[i] - mean) * scale) * weight[i];
    y[i] = bias == nullptr ? normal : normal + bias[i];
  }
}

void SumWindow(const WindowTaps& taps, const float* bias, size_t n,
               float* y) noexcept {
  for (size_t c = 0; c < n; ++c) {
    float sum = 0.0f;
    for (size_t i = 0; i < taps.rows; ++i) {
      for (size_t j = 0; j < taps.columns; ++j) {
        sum += taps.x[i * taps.x_row + j * taps.x_column + c] *
               taps.weight[i * taps.weight_row + j * taps.weight_column + c];
      }
    }
    y[c] = bias == nullptr ? sum : sum + bias[c];
  }
}

}  // namespace lutra::kernels::reference
