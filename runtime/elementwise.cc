#include <cmath>
#include <string>

#include "runtime/operators.h"
#include "runtime/parallel.h"

namespace lutra {
namespace {

// Elements per piece of work: some microseconds of the cheapest function, so
// that small calls stay on one thread.
constexpr size_t kTile = 16384;

struct Relu {
  // NaN stays NaN.
  static float Apply(float x) { return x < 0.0f ? 0.0f : x; }
};

struct Gelu {
  // x * Phi(x); erfc keeps the precision of the negative tail.
  static float Apply(float x) {
    constexpr float kInverseSqrt2 = 0.70710678118654752440f;
    return 0.5f * x * std::erfc(-x * kInverseSqrt2);
  }
};

struct Silu {
  static float Apply(float x) { return x / (1.0f + std::exp(-x)); }
};

struct Add {
  static float Apply(float a, float b) { return a + b; }
};

struct Mul {
  static float Apply(float a, float b) { return a * b; }
};

// y = Function(x...), element by element; as many inputs as Function takes.
template <typename Function, size_t kInputs>
class ElementwiseOperator : public Operator {
 public:
  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      std::span<const ValueInfo* const> inputs) const override {
    for (const ValueInfo* input : inputs) {
      if (input->type != ValueType::kFloat32) {
        throw NodeError(model, node,
                        "input '" + input->name + "' is not float32");
      }
      if (input->shape != inputs[0]->shape) {
        throw NodeError(model, node,
                        "inputs have different shapes, " +
                            ShapeToString(inputs[0]->shape) + " and " +
                            ShapeToString(input->shape));
      }
    }
    return inputs[0]->shape;
  }

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution& execution,
                             const Binding& binding) const override {
    return std::make_unique<ElementwiseStep>(
        binding, binding.m * model.value(node.output).ElementCount(),
        execution.pool);
  }

 private:
  class ElementwiseStep : public Step {
   public:
    ElementwiseStep(const Binding& binding, size_t count, pthreadpool_t pool)
        : output_(binding.output), count_(count), pool_(pool) {
      for (size_t i = 0; i < kInputs; ++i) {
        inputs_[i] = static_cast<const float*>(binding.inputs[i]);
      }
    }

    void Run() override {
      ParallelFor(pool_, count_, kTile, [this](size_t begin, size_t end) {
        float* y = output_;
        if constexpr (kInputs == 1) {
          const float* x = inputs_[0];
          for (size_t i = begin; i < end; ++i) y[i] = Function::Apply(x[i]);
        } else {
          const float* a = inputs_[0];
          const float* b = inputs_[1];
          for (size_t i = begin; i < end; ++i) {
            y[i] = Function::Apply(a[i], b[i]);
          }
        }
      });
    }

   private:
    const float* inputs_[kInputs];
    float* output_;
    size_t count_;
    pthreadpool_t pool_;
  };
};

}  // namespace

const Operator& ReluOperator() {
  static const ElementwiseOperator<Relu, 1> op;
  return op;
}

const Operator& GeluOperator() {
  static const ElementwiseOperator<Gelu, 1> op;
  return op;
}

const Operator& SiluOperator() {
  static const ElementwiseOperator<Silu, 1> op;
  return op;
}

const Operator& AddOperator() {
  static const ElementwiseOperator<Add, 2> op;
  return op;
}

const Operator& MulOperator() {
  static const ElementwiseOperator<Mul, 2> op;
  return op;
}

}  // namespace lutra
