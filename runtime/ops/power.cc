#include <cmath>

#include "kernels/base/parallel.h"
#include "lutra/runtime/half_power.h"
#include "runtime/ops/operators.h"

namespace lutra {
namespace {

// Elements per piece of work: some microseconds, so that small calls stay on
// one thread.
constexpr size_t kPowersPerTask = 8192;

constexpr double kLargest = 8;

class PowerStep : public Step {
 public:
  PowerStep(const Model& model, const Node& node, const Execution& execution,
            const Binding& binding)
      : executor_(execution.executor),
        x_(static_cast<const float*>(binding.inputs[0])),
        y_(binding.output),
        width_(model.value(node.output).ElementCount()),
        twice_(static_cast<int>(2 * NumberAttribute(node, "exponent"))) {}

  void Run(size_t m, const Call&) override {
    ParallelFor(executor_, m * width_, kPowersPerTask,
                [this](size_t begin, size_t end) {
                  const float* __restrict x = x_;
                  float* __restrict y = y_;
                  for (size_t i = begin; i < end; ++i)
                    y[i] = HalfPower(x[i], twice_);
                });
  }

 private:
  Executor* executor_;
  const float* x_;
  float* y_;
  size_t width_;
  int twice_;
};

// Of an exponent that is a multiple of a half: squares, square roots,
// reciprocals.
class Power : public Operator {
 public:
  Power()
      : Operator(
            {.name = "power",
             .attributes = {
                 {.name = "exponent", .low = -kLargest, .high = kLargest}}}) {}

  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      Span<const ValueInfo* const> inputs) const override {
    CheckFloatInput(model, node, *inputs[0]);
    const double twice = 2 * NumberAttribute(node, "exponent");
    if (twice != std::floor(twice)) {
      throw NodeError(model, node, "its 'exponent' is no multiple of a half");
    }
    return inputs[0]->shape;
  }

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution& execution,
                             const Binding& binding) const override {
    return std::make_unique<PowerStep>(model, node, execution, binding);
  }
};

}  // namespace

const Operator& PowerOperator() {
  static const Power op;
  return op;
}

}  // namespace lutra
