#include "lutra/kernels/vector_ops.h"

#include "kernels/target/dispatch.h"

namespace lutra::kernels {
namespace {

const VectorKernels& Active() { return *GetActiveKernels().vectors; }

}  // namespace

void Apply(Function function, const float* x, size_t n, float* y) noexcept {
  Active().apply(function, x, n, y);
}

void ToFloat32(FloatType type, const void* x, size_t n, float* y) noexcept {
  Active().to_float32(type, x, n, y);
}

void ToFloat16(const float* x, size_t n, uint16_t* y) noexcept {
  Active().to_float16(x, n, y);
}

void SoftmaxRow(const float* x, size_t n, float* y) noexcept {
  Active().softmax_row(x, n, y);
}

void RmsNormRow(const float* x, const float* weight, size_t n, float eps,
                float* y) noexcept {
  Active().rms_norm_row(x, weight, n, eps, y);
}

void LayerNormRow(const float* x, const float* weight, const float* bias,
                  size_t n, float eps, float* y) noexcept {
  Active().layer_norm_row(x, weight, bias, n, eps, y);
}

void SumWindow(const WindowTaps& taps, const float* bias, size_t n,
               float* y) noexcept {
  Active().sum_window(taps, bias, n, y);
}

}  // namespace lutra::kernels
