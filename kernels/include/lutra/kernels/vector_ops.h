#ifndef LUTRA_KERNELS_VECTOR_OPS_H_
#define LUTRA_KERNELS_VECTOR_OPS_H_

#include <cstddef>
#include <cstdint>

// Float operations on rows. Every result is defined to the bit, so that it is
// the same on every instruction set:
//
//   * operations are those that the formulas below show, in their order, each
//     rounded (never fused);
//   * lanes(t[i]) is a sum of terms in 16 lanes that start at 0, t[i] going to
//     lane i % 16 in order of i; then lane i takes up lane i + 8, and so on by
//     4, 2 and 1;
//   * exp and the functions made of it are the polynomials of
//     kernels/vector/exp.h.
//
// A NaN among the inputs gives NaNs where the formulas give one; its bits are
// not defined. The functions of the namespace `reference` are the same formulas
// in plain C++, one loop per symbol: slow, and what all others are tested
// against, bit by bit.
//
// Like all kernels they run on the active variant (see variants.h), allocate
// nothing and may be called from several threads at once.

namespace lutra::kernels {

enum class FloatType { kFloat32, kFloat16, kBFloat16 };

constexpr size_t ByteSize(FloatType type) {
  return type == FloatType::kFloat32 ? 4 : 2;
}

enum class Function {
  kExp,
  kRelu,     // x < 0 ? 0 : x
  kSigmoid,  // 1 / (1 + exp(-x))
  kTanh,
  kSilu,  // x / (1 + exp(-x))
  kGelu,  // x * Phi(x) with the exact error function
  // x / (1 + exp(-2 u)), u = sqrt(2 / pi) * (x + 0.044715 x^3): gelu with a
  // tanh for Phi
  kGeluTanh,
  kRelu2,  // the square of kRelu; So et al., "Primer", 2021
};

// y[i] = function(x[i]). x == y is allowed. Where the exact value is a normal
// number, the error is below 4 units in its last place, for kGelu below
// 5e-6 and for kGeluTanh below 2e-5 of
// it, except that kExp is 0 below -87 and infinity above 88, and kSilu -0 below
// -88. Infinities give the limits: -0 of kSilu, kGelu and kGeluTanh at minus
// infinity. A NaN stays one.
void Apply(Function function, const float* x, size_t n, float* y) noexcept;

// The `n` floats that x holds, exactly. `x` is aligned to its elements.
void ToFloat32(FloatType type, const void* x, size_t n, float* y) noexcept;
// Rounds to nearest even; beyond 65504 to infinity.
void ToFloat16(const float* x, size_t n, uint16_t* y) noexcept;

//   e[i] = exp(x[i] - max x)
//   y[i] = e[i] * (1 / lanes(e[j]))
// Minus infinity gives 0, but all NaN if nothing else is in the row; so does
// plus infinity. x == y is allowed.
void SoftmaxRow(const float* x, size_t n, float* y) noexcept;

//   y[i] = (x[i] * (1 / sqrt(lanes(x[j] * x[j]) / n + eps))) * weight[i]
// x == y is allowed.
// Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019.
void RmsNormRow(const float* x, const float* weight, size_t n, float eps,
                float* y) noexcept;

//   mean = lanes(x[j]) / n,  c[i] = x[i] - mean
//   y[i] = (c[i] * (1 / sqrt(lanes(c[j] * c[j]) / n + eps))) * weight[i]
//          (+ bias[i])
// where `bias` may be nullptr. x == y is allowed.
// Ba, Kiros and Hinton, "Layer Normalization", 2016.
void LayerNormRow(const float* x, const float* weight, const float* bias,
                  size_t n, float eps, float* y) noexcept;

// The taps of a window on an image, each of which has `n` channels with a
// weight each: those of tap (i, j) are at x[i * x_row + j * x_column] and
// weight[i * weight_row + j * weight_column].
struct WindowTaps {
  size_t rows = 0, columns = 0;
  const float* x = nullptr;
  size_t x_row = 0, x_column = 0;  // floats
  const float* weight = nullptr;
  size_t weight_row = 0, weight_column = 0;
};

//   y[c] = ((0 + x[0][c] * weight[0][c]) + x[1][c] * weight[1][c]) + ...
//          (+ bias[c])
// over the taps, row by row, for each of `n` channels: an output pixel of a
// depthwise convolution. `bias` may be nullptr. y must not overlap the others.
void SumWindow(const WindowTaps& taps, const float* bias, size_t n,
               float* y) noexcept;

namespace reference {

void Apply(Function function, const float* x, size_t n, float* y) noexcept;
void ToFloat32(FloatType type, const void* x, size_t n, float* y) noexcept;
void ToFloat16(const float* x, size_t n, uint16_t* y) noexcept;
void SoftmaxRow(const float* x, size_t n, float* y) noexcept;
void RmsNormRow(const float* x, const float* weight, size_t n, float eps,
                float* y) noexcept;
void LayerNormRow(const float* x, const float* weight, const float* bias,
                  size_t n, float eps, float* y) noexcept;
void SumWindow(const WindowTaps& taps, const float* bias, size_t n,
               float* y) noexcept;

}  // namespace reference

}  // namespace lutra::kernels

#endif  // LUTRA_KERNELS_VECTOR_OPS_H_
