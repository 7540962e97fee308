// Functions of an element and of numbers that the node has.

#include <limits>
#include <string>

#include "kernels/base/clones.h"
#include "kernels/base/parallel.h"
#include "kernels/base/round.h"
#include "runtime/base/work_size.h"
#include "runtime/ops/operators.h"
#include "runtime/ops/weight.h"

namespace lutra {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

template <typename Function>
LUTRA_CLONES void Map(const float* __restrict x, size_t count,
                      Function function, float* __restrict y) {
  for (size_t i = 0; i < count; ++i) y[i] = function(x[i]);
}

// Calls function(x) for every element.
template <typename Function>
void ForEach(Executor* executor, size_t count, const float* from, float* to,
             const Function& function) {
  ParallelFor(executor, count, kElementsPerTask, [&](size_t begin, size_t end) {
    Map(from + begin, end - begin, function, to + begin);
  });
}

// y = x * factor, or with a weight [1] y = x * (factor * weight[0]).
class ScaleStep : public Step {
 public:
  ScaleStep(const Model& model, const Node& node, const Execution& execution,
            const Binding& binding)
      : executor_(execution.executor),
        x_(static_cast<const float*>(binding.inputs[0])),
        y_(binding.output),
        width_(model.value(node.output).ElementCount()),
        factor_(static_cast<float>(NumberAttribute(node, "factor"))),
        weight_(node.weight.empty()
                    ? nullptr
                    : GetVector(model, node.weight, 1, "the factor")) {}

  void Run(size_t m, const Call&) override {
    const float factor = weight_ == nullptr ? factor_ : factor_ * weight_[0];
    ForEach(executor_, m * width_, x_, y_,
            [factor](float x) { return x * factor; });
  }

 private:
  Executor* executor_;
  const float* x_;
  float* y_;
  size_t width_;
  float factor_;
  const float* weight_;
};

class Scale : public Operator {
 public:
  Scale()
      : Operator({.name = "scale",
                  .weight = TensorUse::kOptional,
                  .attributes = {{.name = "factor",
                                  .kind = AttributeKind::kNumber,
                                  .required = false,
                                  .low = -1e12,
                                  .high = 1e12,
                                  .otherwise = 1}}}) {}

  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      Span<const ValueInfo* const> inputs) const override {
    CheckFloatInput(model, node, *inputs[0]);
    if (!node.weight.empty()) GetVector(model, node.weight, 1, "the factor");
    return inputs[0]->shape;
  }

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution& execution,
                             const Binding& binding) const override {
    return std::make_unique<ScaleStep>(model, node, execution, binding);
  }
};

// Of operators with the attributes low and high.
struct Bounds {
  explicit Bounds(const Node& node)
      : low(static_cast<float>(NumberAttribute(node, "low"))),
        high(static_cast<float>(NumberAttribute(node, "high"))) {}

  float low;
  float high;
};

// y = Function(node)(x).
template <typename Function>
class BoundedStep : public Step {
 public:
  BoundedStep(const Model& model, const Node& node, const Execution& execution,
              const Binding& binding)
      : executor_(execution.executor),
        x_(static_cast<const float*>(binding.inputs[0])),
        y_(binding.output),
        width_(model.value(node.output).ElementCount()),
        function_(node) {}

  void Run(size_t m, const Call&) override {
    ForEach(executor_, m * width_, x_, y_, function_);
  }

 private:
  Executor* executor_;
  const float* x_;
  float* y_;
  size_t width_;
  Function function_;
};

template <typename Function>
class BoundedOperator : public Operator {
 public:
  using Operator::Operator;

  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      Span<const ValueInfo* const> inputs) const override {
    CheckFloatInput(model, node, *inputs[0]);
    const Bounds bounds(node);
    if (bounds.low > bounds.high) {
      throw NodeError(model, node, "its 'low' is above its 'high'");
    }
    return inputs[0]->shape;
  }

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution& execution,
                             const Binding& binding) const override {
    return std::make_unique<BoundedStep<Function>>(model, node, execution,
                                                   binding);
  }
};

struct ClampFunction : Bounds {
  using Bounds::Bounds;

  float operator()(float x) const {
    const float above = x < low ? low : x;
    return above > high ? high : above;
  }
};

// The multiple of the scale that is nearest (of two the even one), the multiple
// being at least low and at most high: QuantizeLinear and DequantizeLinear of
// ONNX with a zero point z, where low and high are those of the type less z.
struct FakeQuantizeFunction : Bounds {
  explicit FakeQuantizeFunction(const Node& node)
      : Bounds(node),
        scale(static_cast<float>(NumberAttribute(node, "scale"))) {}

  float operator()(float x) const {
    return RoundToEven(x / scale, low, high) * scale;
  }

  float scale;
};

AttributeSchema Bound(const char* name, double otherwise) {
  return {.name = name,
          .kind = AttributeKind::kNumber,
          .required = false,
          .low = -1e12,
          .high = 1e12,
          .otherwise = otherwise};
}

AttributeSchema Level(const char* name) {
  constexpr double kLargest = 1 << 16;
  return {.name = name, .low = -kLargest, .high = kLargest};
}

}  // namespace

const Operator& ScaleOperator() {
  static const Scale op;
  return op;
}

const Operator& ClampOperator() {
  static const BoundedOperator<ClampFunction> op(
      {.name = "clamp",
       .attributes = {Bound("low", -kInfinity), Bound("high", kInfinity)}});
  return op;
}

const Operator& FakeQuantizeOperator() {
  static const BoundedOperator<FakeQuantizeFunction> op(
      {.name = "fake_quantize",
       .attributes = {{.name = "scale", .low = 1e-30, .high = 1e12},
                      Level("low"),
                      Level("high")}});
  return op;
}

}  // namespace lutra
