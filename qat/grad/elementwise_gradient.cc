#include <algorithm>
#include <cmath>

#include "lutra/kernels/vector_ops.h"
#include "qat/grad/gradients.h"

namespace lutra::qat {
namespace {

// Elements that a derivative is computed of at a time: they stay in L1.
constexpr size_t kPart = 512;

using kernels::Function;

// Derivatives by what they are computed from, of n <= kPart elements.

// At 0 it is 0.
void ReluDerivative(const float* y, size_t n, float* d) {
  for (size_t i = 0; i < n; ++i) d[i] = y[i] > 0.0f ? 1.0f : 0.0f;
}

void SigmoidDerivative(const float* y, size_t n, float* d) {
  for (size_t i = 0; i < n; ++i) d[i] = y[i] * (1.0f - y[i]);
}

void TanhDerivative(const float* y, size_t n, float* d) {
  for (size_t i = 0; i < n; ++i) d[i] = (1.0f - y[i]) * (1.0f + y[i]);
}

void ExpDerivative(const float* y, size_t n, float* d) { std::copy_n(y, n, d); }

// s(x) + x s'(x), where s is the sigmoid.
void SiluDerivative(const float* x, size_t n, float* d) {
  kernels::Apply(Function::kSigmoid, x, n, d);
  for (size_t i = 0; i < n; ++i) d[i] *= 1.0f + x[i] * (1.0f - d[i]);
}

// Phi(x) + x phi(x), of the normal distribution. Phi(x) is gelu(x) / x; near 0,
// where that says nothing, a line is as exact as floats are.
void GeluDerivative(const float* x, size_t n, float* d) {
  constexpr float kInverseSqrtTwoPi = 0.398942280401432678f;
  constexpr float kNearZero = 1e-3f;
  float density[kPart] = {};
  for (size_t i = 0; i < n; ++i) density[i] = -0.5f * x[i] * x[i];
  kernels::Apply(Function::kExp, density, n, density);
  kernels::Apply(Function::kGelu, x, n, d);
  for (size_t i = 0; i < n; ++i) {
    const float cumulative = std::abs(x[i]) < kNearZero
                                 ? 0.5f + kInverseSqrtTwoPi * x[i]
                                 : d[i] / x[i];
    d[i] = cumulative + x[i] * (kInverseSqrtTwoPi * density[i]);
  }
}

// s + x s (1 - s) 2u', where s is the sigmoid of 2u.
void GeluTanhDerivative(const float* x, size_t n, float* d) {
  constexpr float kLinear = 1.595769121606f;  // 2 sqrt(2 / pi)
  constexpr float kCubic = 0.044715f;
  for (size_t i = 0; i < n; ++i) {
    d[i] = kLinear * (x[i] + kCubic * x[i] * x[i] * x[i]);
  }
  kernels::Apply(Function::kSigmoid, d, n, d);
  for (size_t i = 0; i < n; ++i) {
    const float slope = kLinear * (1.0f + 3.0f * kCubic * x[i] * x[i]);
    d[i] += x[i] * (d[i] * (1.0f - d[i]) * slope);
  }
}

void Relu2Derivative(const float* x, size_t n, float* d) {
  for (size_t i = 0; i < n; ++i) d[i] = x[i] > 0.0f ? 2.0f * x[i] : 0.0f;
}

using Derivative = void (*)(const float* from, size_t n, float* d);

// dx = dy * derivative, elementwise.
class UnaryStep : public BackwardStep {
 public:
  UnaryStep(Derivative derivative, const float* from, size_t width,
            const Execution& execution, const BackwardBinding& binding)
      : derivative_(derivative),
        from_(from),
        width_(width),
        executor_(execution.executor),
        dy_(binding.output_gradient),
        dx_(binding.input_gradients[0]) {}

  void Run(size_t m, const Call&) override {
    if (dx_.values == nullptr) return;
    ParallelFor(executor_, m * width_, kElementTile,
                [this](size_t begin, size_t end) {
                  for (size_t i = begin; i < end; i += kPart) {
                    Part(i, std::min(kPart, end - i));
                  }
                });
  }

 private:
  void Part(size_t begin, size_t n) const {
    float d[kPart];
    derivative_(from_ + begin, n, d);
    const float* dy = dy_ + begin;
    float* dx = dx_.values + begin;
    if (dx_.accumulate) {
      for (size_t i = 0; i < n; ++i) dx[i] += dy[i] * d[i];
    } else {
      for (size_t i = 0; i < n; ++i) dx[i] = dy[i] * d[i];
    }
  }

  Derivative derivative_;
  const float* from_;
  size_t width_;
  Executor* executor_;
  const float* dy_;
  GradientTarget dx_;
};

enum class From { kInput, kOutput };

template <Derivative kDerivative, From kFrom>
class Unary : public OperatorGradient {
 public:
  bool NeedsInputs() const override { return kFrom == From::kInput; }
  bool NeedsOutput() const override { return kFrom == From::kOutput; }
  std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution& execution,
      const BackwardBinding& binding) const override {
    return std::make_unique<UnaryStep>(
        kDerivative,
        kFrom == From::kInput ? Floats(binding.inputs[0]) : binding.output,
        model.value(node.output).ElementCount(), execution, binding);
  }
};

// y = a + b and y = a * b.
template <bool kProduct>
class BinaryStep : public BackwardStep {
 public:
  BinaryStep(const Model& model, const Node& node, const Execution& execution,
             const BackwardBinding& binding)
      : binding_(binding),
        executor_(execution.executor),
        width_(model.value(node.output).ElementCount()) {}

  void Run(size_t m, const Call&) override {
    const float* dy = binding_.output_gradient;
    for (size_t i = 0; i < 2; ++i) {
      const GradientTarget& dx = binding_.input_gradients[i];
      if (dx.values == nullptr) continue;
      if constexpr (kProduct) {
        const float* other = Floats(binding_.inputs[1 - i]);
        ForEachElement(executor_, m * width_, dx,
                       [=](size_t j) { return dy[j] * other[j]; });
      } else {
        ForEachElement(executor_, m * width_, dx,
                       [=](size_t j) { return dy[j]; });
      }
    }
  }

 private:
  BackwardBinding binding_;
  Executor* executor_;
  size_t width_;
};

template <bool kProduct>
class Binary : public OperatorGradient {
 public:
  bool NeedsInputs() const override { return kProduct; }
  std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution& execution,
      const BackwardBinding& binding) const override {
    return std::make_unique<BinaryStep<kProduct>>(model, node, execution,
                                                  binding);
  }
};

// dx = dy: of the same elements in another shape, and of dynamic_quantize, as
// the straight-through estimator has it (https://arxiv.org/abs/1308.3432): no
// element is outside of its range.
class PassStep : public BackwardStep {
 public:
  PassStep(size_t width, const Execution& execution,
           const BackwardBinding& binding)
      : width_(width),
        executor_(execution.executor),
        dy_(binding.output_gradient),
        dx_(binding.input_gradients[0]) {}

  void Run(size_t m, const Call&) override {
    if (dx_.values == nullptr) return;
    ForEachElement(executor_, m * width_, dx_,
                   [dy = dy_](size_t i) { return dy[i]; });
  }

 private:
  size_t width_;
  Executor* executor_;
  const float* dy_;
  GradientTarget dx_;
};

class Pass : public OperatorGradient {
 public:
  std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution& execution,
      const BackwardBinding& binding) const override {
    return std::make_unique<PassStep>(model.value(node.output).ElementCount(),
                                      execution, binding);
  }
};

}  // namespace

const OperatorGradient& ReluGradient() {
  static const Unary<ReluDerivative, From::kOutput> gradient;
  return gradient;
}

const OperatorGradient& SigmoidGradient() {
  static const Unary<SigmoidDerivative, From::kOutput> gradient;
  return gradient;
}

const OperatorGradient& TanhGradient() {
  static const Unary<TanhDerivative, From::kOutput> gradient;
  return gradient;
}

const OperatorGradient& ExpGradient() {
  static const Unary<ExpDerivative, From::kOutput> gradient;
  return gradient;
}

const OperatorGradient& SiluGradient() {
  static const Unary<SiluDerivative, From::kInput> gradient;
  return gradient;
}

const OperatorGradient& GeluGradient() {
  static const Unary<GeluDerivative, From::kInput> gradient;
  return gradient;
}

const OperatorGradient& GeluTanhGradient() {
  static const Unary<GeluTanhDerivative, From::kInput> gradient;
  return gradient;
}

const OperatorGradient& Relu2Gradient() {
  static const Unary<Relu2Derivative, From::kInput> gradient;
  return gradient;
}

const OperatorGradient& AddGradient() {
  static const Binary<false> gradient;
  return gradient;
}

const OperatorGradient& MulGradient() {
  static const Binary<true> gradient;
  return gradient;
}

const OperatorGradient& ReshapeGradient() {
  static const Pass gradient;
  return gradient;
}

const OperatorGradient& DynamicQuantizeGradient() {
  static const Pass gradient;
  return gradient;
}

}  // namespace lutra::qat
