#include <limits>
#include <string>

#include "kernels/base/parallel.h"
#include "runtime/ops/operators.h"
#include "runtime/ops/weight.h"

namespace lutra {
namespace {

// Elements per piece of work: some microseconds, so that small calls stay on
// one thread.
constexpr size_t kTile = 16384;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Calls function(x) for every element.
template <typename Function>
void ForEach(Executor* executor, size_t count, const float* from, float* to,
             const Function& function) {
  ParallelFor(executor, count, kTile, [&](size_t begin, size_t end) {
    const float* __restrict x = from;
    float* __restrict y = to;
    for (size_t i = begin; i < end; ++i) y[i] = function(x[i]);
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

class ClampStep : public Step {
 public:
  ClampStep(const Model& model, const Node& node, const Execution& execution,
            const Binding& binding)
      : executor_(execution.executor),
        x_(static_cast<const float*>(binding.inputs[0])),
        y_(binding.output),
        width_(model.value(node.output).ElementCount()),
        low_(static_cast<float>(NumberAttribute(node, "low"))),
        high_(static_cast<float>(NumberAttribute(node, "high"))) {}

  void Run(size_t m, const Call&) override {
    ForEach(executor_, m * width_, x_, y_, [low = low_, high = high_](float x) {
      const float above = x < low ? low : x;
      return above > high ? high : above;
    });
  }

 private:
  Executor* executor_;
  const float* x_;
  float* y_;
  size_t width_;
  float low_;
  float high_;
};

class Clamp : public Operator {
 public:
  Clamp()
      : Operator({.name = "clamp",
                  .attributes = {{.name = "low",
                                  .kind = AttributeKind::kNumber,
                                  .required = false,
                                  .low = -1e12,
                                  .high = 1e12,
                                  .otherwise = -kInfinity},
                                 {.name = "high",
                                  .kind = AttributeKind::kNumber,
                                  .required = false,
                                  .low = -1e12,
                                  .high = 1e12,
                                  .otherwise = kInfinity}}}) {}

  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      Span<const ValueInfo* const> inputs) const override {
    CheckFloatInput(model, node, *inputs[0]);
    if (NumberAttribute(node, "low") > NumberAttribute(node, "high")) {
      throw NodeError(model, node, "its 'low' is above its 'high'");
    }
    return inputs[0]->shape;
  }

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution& execution,
                             const Binding& binding) const override {
    return std::make_unique<ClampStep>(model, node, execution, binding);
  }
};

}  // namespace

const Operator& ScaleOperator() {
  static const Scale op;
  return op;
}

const Operator& ClampOperator() {
  static const Clamp op;
  return op;
}

}  // namespace lutra
