#include "qat/grad/operators.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/base/parallel.h"
#include "qat/grad/matmul.h"

namespace lutra::qat {
namespace {

// Items per task: enough work to pay for handing it out, which costs some
// microseconds. What fits one task runs on the calling thread.
constexpr size_t kElementChunk = 16384;
constexpr size_t kRowChunk = 32;
constexpr size_t kColumnChunk = 512;

// y[i] = function(i), or += with `accumulate`.
template <typename Function>
void ForEach(size_t count, bool accumulate, float* y, Executor* executor,
             const Function& function) {
  ParallelFor(executor, count, kElementChunk, [&](size_t begin, size_t end) {
    if (accumulate) {
      for (size_t i = begin; i < end; ++i) y[i] += function(i);
    } else {
      for (size_t i = begin; i < end; ++i) y[i] = function(i);
    }
  });
}

float Sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }

// The normal distribution's cumulative function and density.
float NormalCdf(float x) {
  return 0.5f * (1.0f + std::erf(x * (std::numbers::sqrt2_v<float> / 2)));
}
float NormalPdf(float x) {
  constexpr float kInverseSqrtTwoPi = 0.398942280401432678f;
  return kInverseSqrtTwoPi * std::exp(-0.5f * x * x);
}

}  // namespace

void LinearForward(const LinearShape& shape, const float* x,
                   const float* weight, const float* bias, float* y,
                   Executor* executor) {
  if (bias != nullptr) {
    for (size_t row = 0; row < shape.m; ++row) {
      std::copy_n(bias, shape.n, y + row * shape.n);
    }
  }
  MatMul({x}, {weight, /*transposed=*/true}, shape.m, shape.n, shape.k,
         /*accumulate=*/bias != nullptr, y, executor);
}

void LinearInputGradient(const LinearShape& shape, const float* dy,
                         const float* weight, bool accumulate, float* dx,
                         Executor* executor) {
  MatMul({dy}, {weight}, shape.m, shape.k, shape.n, accumulate, dx, executor);
}

void LinearWeightGradient(const LinearShape& shape, const float* dy,
                          const float* x, bool accumulate, float* dweight,
                          Executor* executor) {
  MatMul({dy, /*transposed=*/true}, {x}, shape.n, shape.k, shape.m, accumulate,
         dweight, executor);
}

void LinearBiasGradient(const LinearShape& shape, const float* dy,
                        bool accumulate, float* dbias, Executor* executor) {
  ParallelFor(executor, shape.n, kColumnChunk, [&](size_t begin, size_t end) {
    if (!accumulate) std::fill(dbias + begin, dbias + end, 0.0f);
    for (size_t row = 0; row < shape.m; ++row) {
      const float* d = dy + row * shape.n;
      for (size_t i = begin; i < end; ++i) dbias[i] += d[i];
    }
  });
}

void EmbeddingForward(size_t m, size_t k, const int32_t* ids,
                      const float* weight, float* y, Executor* executor) {
  ParallelFor(executor, m, kRowChunk, [&](size_t begin, size_t end) {
    for (size_t row = begin; row < end; ++row) {
      std::copy_n(weight + static_cast<size_t>(ids[row]) * k, k, y + row * k);
    }
  });
}

void EmbeddingWeightGradient(size_t m, size_t n, size_t k, const int32_t* ids,
                             const float* dy, bool accumulate, float* dweight,
                             Executor* executor) {
  if (!accumulate) std::fill_n(dweight, n * k, 0.0f);
  // An id may come more than once, so tasks share columns, not tokens.
  ParallelFor(executor, k, kColumnChunk, [&](size_t begin, size_t end) {
    for (size_t row = 0; row < m; ++row) {
      const float* d = dy + row * k;
      float* out = dweight + static_cast<size_t>(ids[row]) * k;
      for (size_t i = begin; i < end; ++i) out[i] += d[i];
    }
  });
}

void ActivationForward(OpType op, size_t count, const float* x, float* y,
                       Executor* executor) {
  if (op == OpType::kRelu) {
    // Written so that NaN stays NaN and training notices it.
    ForEach(count, false, y, executor,
            [=](size_t i) { return x[i] < 0.0f ? 0.0f : x[i]; });
  } else if (op == OpType::kGelu) {
    ForEach(count, false, y, executor,
            [=](size_t i) { return x[i] * NormalCdf(x[i]); });
  } else {
    ForEach(count, false, y, executor,
            [=](size_t i) { return x[i] * Sigmoid(x[i]); });
  }
}

void ActivationGradient(OpType op, size_t count, const float* x,
                        const float* dy, bool accumulate, float* dx,
                        Executor* executor) {
  if (op == OpType::kRelu) {
    ForEach(count, accumulate, dx, executor,
            [=](size_t i) { return x[i] > 0.0f ? dy[i] : 0.0f; });
  } else if (op == OpType::kGelu) {
    ForEach(count, accumulate, dx, executor, [=](size_t i) {
      return dy[i] * (NormalCdf(x[i]) + x[i] * NormalPdf(x[i]));
    });
  } else {
    ForEach(count, accumulate, dx, executor, [=](size_t i) {
      const float s = Sigmoid(x[i]);
      return dy[i] * s * (1.0f + x[i] * (1.0f - s));
    });
  }
}

void BinaryForward(OpType op, size_t count, const float* a, const float* b,
                   float* y, Executor* executor) {
  if (op == OpType::kAdd) {
    ForEach(count, false, y, executor, [=](size_t i) { return a[i] + b[i]; });
  } else {
    ForEach(count, false, y, executor, [=](size_t i) { return a[i] * b[i]; });
  }
}

void BinaryGradient(OpType op, size_t count, const float* other,
                    const float* dy, bool accumulate, float* dx,
                    Executor* executor) {
  if (op == OpType::kAdd) {
    ForEach(count, accumulate, dx, executor, [=](size_t i) { return dy[i]; });
  } else {
    ForEach(count, accumulate, dx, executor,
            [=](size_t i) { return dy[i] * other[i]; });
  }
}

void SoftmaxForward(size_t rows, size_t width, const float* x, float* y,
                    Executor* executor) {
  ParallelFor(executor, rows, kRowChunk, [&](size_t begin, size_t end) {
    for (size_t row = begin; row < end; ++row) {
      const float* in = x + row * width;
      float* out = y + row * width;
      const float largest = *std::max_element(in, in + width);
      float sum = 0.0f;
      for (size_t i = 0; i < width; ++i) {
        out[i] = std::exp(in[i] - largest);
        sum += out[i];
      }
      for (size_t i = 0; i < width; ++i) out[i] /= sum;
    }
  });
}

void SoftmaxGradient(size_t rows, size_t width, const float* y, const float* dy,
                     bool accumulate, float* dx, Executor* executor) {
  ParallelFor(executor, rows, kRowChunk, [&](size_t begin, size_t end) {
    for (size_t row = begin; row < end; ++row) {
      const float* out = y + row * width;
      const float* d = dy + row * width;
      float* in = dx + row * width;
      float dot = 0.0f;
      for (size_t i = 0; i < width; ++i) dot += d[i] * out[i];
      for (size_t i = 0; i < width; ++i) {
        const float value = out[i] * (d[i] - dot);
        in[i] = accumulate ? in[i] + value : value;
      }
    }
  });
}

}  // namespace lutra::qat
