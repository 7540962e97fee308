#ifndef LUTRA_QAT_GRAD_OPERATORS_H_
#define LUTRA_QAT_GRAD_OPERATORS_H_

#include <cstddef>
#include <cstdint>

#include "lutra/kernels/executor.h"
#include "lutra/runtime/graph.h"

// The operators of the graph and their gradients over raw arrays.
//
// Backward functions add to the gradient they produce if `accumulate`, else
// replace it. dx means the gradient of the loss with respect to x.

namespace lutra::qat {

// x [m, k], weight [n, k], bias [n] or nullptr, y [m, n].
struct LinearShape {
  size_t m = 0;
  size_t n = 0;
  size_t k = 0;
};
void LinearForward(const LinearShape& shape, const float* x,
                   const float* weight, const float* bias, float* y,
                   Executor* executor);
void LinearInputGradient(const LinearShape& shape, const float* dy,
                         const float* weight, bool accumulate, float* dx,
                         Executor* executor);
void LinearWeightGradient(const LinearShape& shape, const float* dy,
                          const float* x, bool accumulate, float* dweight,
                          Executor* executor);
void LinearBiasGradient(const LinearShape& shape, const float* dy,
                        bool accumulate, float* dbias, Executor* executor);

// y [m, k] = rows `ids` of weight [n, k]; ids are in range.
void EmbeddingForward(size_t m, size_t k, const int32_t* ids,
                      const float* weight, float* y, Executor* executor);
void EmbeddingWeightGradient(size_t m, size_t n, size_t k, const int32_t* ids,
                             const float* dy, bool accumulate, float* dweight,
                             Executor* executor);

// kRelu, kGelu, kSilu.
void ActivationForward(OpType op, size_t count, const float* x, float* y,
                       Executor* executor);
void ActivationGradient(OpType op, size_t count, const float* x,
                        const float* dy, bool accumulate, float* dx,
                        Executor* executor);

// kAdd, kMul.
void BinaryForward(OpType op, size_t count, const float* a, const float* b,
                   float* y, Executor* executor);
// The gradient of the operand whose partner has the values `other`.
void BinaryGradient(OpType op, size_t count, const float* other,
                    const float* dy, bool accumulate, float* dx,
                    Executor* executor);

// Over rows of `width` values.
void SoftmaxForward(size_t rows, size_t width, const float* x, float* y,
                    Executor* executor);
void SoftmaxGradient(size_t rows, size_t width, const float* y, const float* dy,
                     bool accumulate, float* dx, Executor* executor);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_GRAD_OPERATORS_H_
