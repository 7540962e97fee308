#include <cmath>
#include <string>

#include "kernels/base/parallel.h"
#include "runtime/ops/operators.h"

namespace lutra {
namespace {

// Elements per piece of work: some microseconds, so that small calls stay on
// one thread.
constexpr size_t kTile = 16384;

constexpr double kLargestScale = 1e12;
constexpr double kLargestLevel = 1 << 16;

class FakeQuantizeStep : public Step {
 public:
  FakeQuantizeStep(const Model& model, const Node& node,
                   const Execution& execution, const Binding& binding)
      : executor_(execution.executor),
        x_(static_cast<const float*>(binding.inputs[0])),
        y_(binding.output),
        width_(model.value(node.output).ElementCount()),
        scale_(static_cast<float>(NumberAttribute(node, "scale"))),
        low_(static_cast<float>(NumberAttribute(node, "low"))),
        high_(static_cast<float>(NumberAttribute(node, "high"))) {}

  void Run(size_t m, const Call&) override {
    ParallelFor(executor_, m * width_, kTile, [this](size_t begin, size_t end) {
      const float* __restrict x = x_;
      float* __restrict y = y_;
      for (size_t i = begin; i < end; ++i) {
        const float level = std::nearbyint(x[i] / scale_);
        const float above = level < low_ ? low_ : level;
        y[i] = (above > high_ ? high_ : above) * scale_;
      }
    });
  }

 private:
  Executor* executor_;
  const float* x_;
  float* y_;
  size_t width_;
  float scale_;
  float low_;
  float high_;
};

// The multiple of the scale that is nearest (of two the even one), the multiple
// being at least low and at most high: QuantizeLinear and DequantizeLinear of
// ONNX with a zero point z, where low and high are those of the type less z.
class FakeQuantize : public Operator {
 public:
  FakeQuantize()
      : Operator(
            {.name = "fake_quantize",
             .attributes = {
                 {.name = "scale", .low = 1e-30, .high = kLargestScale},
                 {.name = "low", .low = -kLargestLevel, .high = kLargestLevel},
                 {.name = "high",
                  .low = -kLargestLevel,
                  .high = kLargestLevel}}}) {}

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
    return std::make_unique<FakeQuantizeStep>(model, node, execution, binding);
  }
};

}  // namespace

const Operator& FakeQuantizeOperator() {
  static const FakeQuantize op;
  return op;
}

}  // namespace lutra
