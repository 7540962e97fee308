#include <algorithm>
#include <limits>
#include <string>

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
  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      std::span<const ValueInfo* const> inputs) const override {
    const Window2d w = MakeWindow2d(model, node, *inputs[0]);
    if (std::max(w.padding[0], w.padding[1]) >= w.kernel[0] ||
        std::max(w.padding[2], w.padding[3]) >= w.kernel[1]) {
      throw NodeError(model, node, "padding must be smaller than the kernel");
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
          pool_(execution.pool) {}

    void Run(size_t m, const Call&) override {
      ForEachOutputPixel(window_, m, pool_, [this](size_t row, size_t column) {
        Pixel(row, column);
      });
    }

   private:
    // `row` counts through all images.
    void Pixel(size_t row, size_t column) const {
      const Window2d& w = window_;
      const float* image = x_ + row / w.out_height * w.InputSize();
      float* out = y_ + (row * w.out_width + column) * w.channels;
      std::fill(out, out + w.channels, Function::kStart);
      size_t count = 0;
      for (size_t ky = 0; ky < w.kernel[0]; ++ky) {
        for (size_t kx = 0; kx < w.kernel[1]; ++kx) {
          const size_t y = w.Row(row % w.out_height, ky);
          const size_t x = w.Column(column, kx);
          if (y >= w.height || x >= w.width) continue;
          ++count;
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
    pthreadpool_t pool_;
  };
};

}  // namespace

const Operator& AvgPool2dOperator() {
  static const PoolOperator<Average> op;
  return op;
}

const Operator& MaxPool2dOperator() {
  static const PoolOperator<Maximum> op;
  return op;
}

}  // namespace lutra
