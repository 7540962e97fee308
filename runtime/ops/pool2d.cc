#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "runtime/base/work_size.h"
#include "runtime/ops/operators.h"
#include "runtime/ops/window2d.h"

namespace lutra {
namespace {

struct Average {
  static constexpr float kStart = 0.0f;
  static float Add(float sum, float x) { return sum + x; }
  static float Finish(float sum, size_t count) {
    return sum / static_cast<float>(count);
  }
};

struct Maximum {
  static constexpr float kStart = -std::numeric_limits<float>::infinity();
  // A NaN stays.
  static float Add(float most, float x) { return x <= most ? most : x; }
  static float Finish(float most, size_t) { return most; }
};

// Padding counts for nothing.
template <typename Function>
class PoolOperator : public Operator {
 public:
  explicit PoolOperator(std::string name)
      : Operator({.name = std::move(name), .attributes = PoolAttributes()}) {}

  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      Span<const ValueInfo* const> inputs) const override {
    const Window2d w = MakeWindow2d(model, node, *inputs[0]);
    if (std::max(w.padding[0], w.padding[1]) >= w.kernel[0] ||
        std::max(w.padding[2], w.padding[3]) >= w.kernel[1]) {
      throw NodeError(model, node, "padding must be smaller than the kernel");
    }
    const double work = static_cast<double>(w.out_height) *
                        static_cast<double>(w.out_width) *
                        static_cast<double>(w.channels) * w.TapsOnImage();
    if (work > kMaxWork) {
      throw NodeError(model, node, "needs more than 2^40 additions per image",
                      ErrorCode::kUnsupported);
    }
    return {static_cast<int64_t>(w.out_height),
            static_cast<int64_t>(w.out_width), inputs[0]->shape[2]};
  }

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution& execution,
                             const Binding& binding) const override {
    return std::make_unique<PoolStep>(model, node, execution, binding);
  }

 private:
  class PoolStep : public Step {
   public:
    PoolStep(const Model& model, const Node& node, const Execution& execution,
             const Binding& binding)
        : window_(MakeWindow2d(model, node, model.value(node.inputs[0]))),
          x_(static_cast<const float*>(binding.inputs[0])),
          y_(binding.output),
          execution_(execution) {}

    void Run(size_t m, const Call&) override {
      ForEachOutputPixel(
          window_, m, execution_,
          [this](size_t row, size_t column) { Pixel(row, column); });
    }

   private:
    // `row` counts through all images.
    void Pixel(size_t row, size_t column) const {
      const Window2d& w = window_;
      const float* image = x_ + row / w.out_height * w.InputSize();
      float* out = y_ + (row * w.out_width + column) * w.channels;
      std::fill(out, out + w.channels, Function::kStart);
      const auto rows = w.RowTaps(row % w.out_height);
      const auto columns = w.ColumnTaps(column);
      const size_t count =
          (rows.end - rows.begin) * (columns.end - columns.begin);
      for (size_t ky = rows.begin; ky < rows.end; ++ky) {
        for (size_t kx = columns.begin; kx < columns.end; ++kx) {
          const size_t y = w.Row(row % w.out_height, ky);
          const size_t x = w.Column(column, kx);
          const float* in = image + (y * w.width + x) * w.channels;
          for (size_t c = 0; c < w.channels; ++c) {
            out[c] = Function::Add(out[c], in[c]);
          }
        }
      }
      for (size_t c = 0; c < w.channels; ++c) {
        out[c] = Function::Finish(out[c], count);
      }
    }

    Window2d window_;
    const float* x_;
    float* y_;
    Execution execution_;
  };
};

}  // namespace

const Operator& AvgPool2dOperator() {
  static const PoolOperator<Average> op("avg_pool2d");
  return op;
}

const Operator& MaxPool2dOperator() {
  static const PoolOperator<Maximum> op("max_pool2d");
  return op;
}

}  // namespace lutra
