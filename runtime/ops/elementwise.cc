#include <string>
#include <utility>

#include "kernels/base/parallel.h"
#include "lutra/kernels/vector_ops.h"
#include "runtime/base/text_of.h"
#include "runtime/base/work_size.h"
#include "runtime/ops/operators.h"

namespace lutra {
namespace {

struct Add {
  static float Apply(float a, float b) { return a + b; }
};

struct Mul {
  static float Apply(float a, float b) { return a * b; }
};

// Inputs of one shape, which is also that of the output.
class SameShapeOperator : public Operator {
 public:
  using Operator::Operator;

  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      Span<const ValueInfo* const> inputs) const override {
    for (const ValueInfo* input : inputs) {
      CheckFloatInput(model, node, *input);
      if (input->shape != inputs[0]->shape) {
        throw NodeError(model, node,
                        TextOf("inputs have different shapes, ",
                               ShapeToString(inputs[0]->shape), " and ",
                               ShapeToString(input->shape)));
      }
    }
    return inputs[0]->shape;
  }
};

// y = kFunction(x)
template <kernels::Function kFunction>
class UnaryOperator : public SameShapeOperator {
 public:
  UnaryOperator(std::string name, kernels::Fusion fusion)
      : SameShapeOperator({.name = std::move(name), .fusion = fusion}) {}

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution& execution,
                             const Binding& binding) const override {
    return std::make_unique<UnaryStep>(
        binding, model.value(node.output).ElementCount(), execution.executor);
  }

 private:
  class UnaryStep : public Step {
   public:
    UnaryStep(const Binding& binding, size_t row_size, Executor* executor)
        : x_(static_cast<const float*>(binding.inputs[0])),
          y_(binding.output),
          row_size_(row_size),
          executor_(executor) {}

    void Run(size_t m, const Call&) override {
      ParallelFor(executor_, m * row_size_, kElementsPerTask,
                  [this](size_t begin, size_t end) {
                    kernels::Apply(kFunction, x_ + begin, end - begin,
                                   y_ + begin);
                  });
    }

   private:
    const float* x_;
    float* y_;
    size_t row_size_;
    Executor* executor_;
  };
};

// y = Function(a, b)
template <typename Function>
class BinaryOperator : public SameShapeOperator {
 public:
  BinaryOperator(std::string name, bool is_sum)
      : SameShapeOperator(
            {.name = std::move(name), .inputs = 2, .is_sum = is_sum}) {}

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution& execution,
                             const Binding& binding) const override {
    return std::make_unique<BinaryStep>(
        binding, model.value(node.output).ElementCount(), execution.executor);
  }

 private:
  class BinaryStep : public Step {
   public:
    BinaryStep(const Binding& binding, size_t row_size, Executor* executor)
        : a_(static_cast<const float*>(binding.inputs[0])),
          b_(static_cast<const float*>(binding.inputs[1])),
          y_(binding.output),
          row_size_(row_size),
          executor_(executor) {}

    void Run(size_t m, const Call&) override {
      ParallelFor(executor_, m * row_size_, kElementsPerTask,
                  [this](size_t begin, size_t end) {
                    const float* __restrict a = a_;
                    const float* __restrict b = b_;
                    float* __restrict y = y_;
                    for (size_t i = begin; i < end; ++i)
                      y[i] = Function::Apply(a[i], b[i]);
                  });
    }

   private:
    const float* a_;
    const float* b_;
    float* y_;
    size_t row_size_;
    Executor* executor_;
  };
};

}  // namespace

const Operator& ReluOperator() {
  static const UnaryOperator<kernels::Function::kRelu> op(
      "relu", kernels::Fusion::kRelu);
  return op;
}

const Operator& GeluOperator() {
  static const UnaryOperator<kernels::Function::kGelu> op(
      "gelu", kernels::Fusion::kGelu);
  return op;
}

const Operator& SiluOperator() {
  static const UnaryOperator<kernels::Function::kSilu> op(
      "silu", kernels::Fusion::kSilu);
  return op;
}

const Operator& GeluTanhOperator() {
  static const UnaryOperator<kernels::Function::kGeluTanh> op(
      "gelu_tanh", kernels::Fusion::kNone);
  return op;
}

const Operator& Relu2Operator() {
  static const UnaryOperator<kernels::Function::kRelu2> op(
      "relu2", kernels::Fusion::kNone);
  return op;
}

const Operator& SigmoidOperator() {
  static const UnaryOperator<kernels::Function::kSigmoid> op(
      "sigmoid", kernels::Fusion::kNone);
  return op;
}

const Operator& TanhOperator() {
  static const UnaryOperator<kernels::Function::kTanh> op(
      "tanh", kernels::Fusion::kNone);
  return op;
}

const Operator& ExpOperator() {
  static const UnaryOperator<kernels::Function::kExp> op(
      "exp", kernels::Fusion::kNone);
  return op;
}

const Operator& AddOperator() {
  static const BinaryOperator<Add> op("add", true);
  return op;
}

const Operator& MulOperator() {
  static const BinaryOperator<Mul> op("mul", false);
  return op;
}

}  // namespace lutra
