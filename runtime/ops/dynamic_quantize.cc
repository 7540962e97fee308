#include <algorithm>
#include <cmath>
#include <string>

#include "kernels/base/parallel.h"
#include "kernels/base/round.h"
#include "runtime/base/work_size.h"
#include "runtime/ops/operators.h"

namespace lutra {
namespace {

constexpr float kLevels = 255;

// 256 levels between the smallest and the largest of some numbers and 0, which
// is one of them: DynamicQuantizeLinear of ONNX.
struct Levels {
  float scale = 1;
  float zero = 0;  // the level that is 0

  // What is not finite counts for nothing.
  static Levels Of(const float* x, size_t n) {
    float low = 0;
    float high = 0;
    for (size_t i = 0; i < n; ++i) {
      if (!std::isfinite(x[i])) continue;
      low = std::min(low, x[i]);
      high = std::max(high, x[i]);
    }
    Levels levels;
    // Halves, so that the difference does not overflow.
    const float scale = (high / 2 - low / 2) / (kLevels / 2);
    if (scale > 0) {
      levels.scale = scale;
      levels.zero = RoundToEven(-low / scale, 0, kLevels);
    }
    return levels;
  }

  // Of what is not finite, NaN.
  float Round(float x) const {
    const float level = RoundToEven(x / scale, -zero, kLevels - zero);
    return level * scale + (x - x);
  }
};

class DynamicQuantizeStep : public Step {
 public:
  DynamicQuantizeStep(const Model& model, const Node& node,
                      const Execution& execution, const Binding& binding)
      : executor_(execution.executor),
        x_(static_cast<const float*>(binding.inputs[0])),
        y_(binding.output),
        width_(model.value(node.output).ElementCount()),
        by_row_(WordAttribute(node, "over") == "row") {}

  void Run(size_t m, const Call&) override {
    if (!by_row_) return Round(Levels::Of(x_, m * width_), 0, m * width_);
    for (size_t row = 0; row < m; ++row) {
      Round(Levels::Of(x_ + row * width_, width_), row * width_, width_);
    }
  }

 private:
  void Round(const Levels& levels, size_t first, size_t count) {
    ParallelFor(executor_, count, kElementsPerTask,
                [&](size_t begin, size_t end) {
                  const float* __restrict x = x_ + first;
                  float* __restrict y = y_ + first;
                  for (size_t i = begin; i < end; ++i)
                    y[i] = levels.Round(x[i]);
                });
  }

  Executor* executor_;
  const float* x_;
  float* y_;
  size_t width_;
  bool by_row_;
};

class DynamicQuantize : public Operator {
 public:
  DynamicQuantize()
      : Operator({.name = "dynamic_quantize",
                  .context = RowContext::kCall,
                  .attributes = {{.name = "over",
                                  .kind = AttributeKind::kWord,
                                  .words = "call row"}}}) {}

  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      Span<const ValueInfo* const> inputs) const override {
    CheckFloatInput(model, node, *inputs[0]);
    return inputs[0]->shape;
  }

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution& execution,
                             const Binding& binding) const override {
    return std::make_unique<DynamicQuantizeStep>(model, node, execution,
                                                 binding);
  }
};

}  // namespace

const Operator& DynamicQuantizeOperator() {
  static const DynamicQuantize op;
  return op;
}

}  // namespace lutra
