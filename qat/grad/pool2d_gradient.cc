#include <algorithm>

#include "lutra/runtime/window2d.h"
#include "qat/grad/gradients.h"

namespace lutra::qat {
namespace {

// One window of an image: its taps that lie on it, and one of its outputs.
struct Window {
  const Window2d& shape;
  size_t out_y, out_x;
  Window2d::Range rows, columns;
  size_t channels;

  // Calls body(offset of the pixel in the image) for each tap, rows before
  // columns.
  template <typename Body>
  void ForEachTap(const Body& body) const {
    for (size_t ky = rows.begin; ky < rows.end; ++ky) {
      for (size_t kx = columns.begin; kx < columns.end; ++kx) {
        body((shape.Row(out_y, ky) * shape.width + shape.Column(out_x, kx)) *
             channels);
      }
    }
  }
};

// Each tap has its share.
struct Average {
  static constexpr bool kNeedsValues = false;
  static void Add(const Window& window, const float*, const float*,
                  const float* dy, float* dx) {
    const size_t taps = (window.rows.end - window.rows.begin) *
                        (window.columns.end - window.columns.begin);
    const float share = 1.0f / static_cast<float>(taps);
    window.ForEachTap([&](size_t at) {
      for (size_t c = 0; c < window.channels; ++c) dx[at + c] += dy[c] * share;
    });
  }
};

// The first tap that is as large as the output has it all.
struct Maximum {
  static constexpr bool kNeedsValues = true;
  static void Add(const Window& window, const float* x, const float* y,
                  const float* dy, float* dx) {
    for (size_t c = 0; c < window.channels; ++c) {
      bool found = false;
      window.ForEachTap([&](size_t at) {
        if (found || x[at + c] != y[c]) return;
        found = true;
        dx[at + c] += dy[c];
      });
    }
  }
};

template <typename Function>
class PoolStep : public BackwardStep {
 public:
  PoolStep(const Model& model, const Node& node, const Execution& execution,
           const BackwardBinding& binding)
      : binding_(binding),
        executor_(execution.executor),
        window_(MakeWindow2d(model, node, model.value(node.inputs[0]))) {}

  void Run(size_t m, const Call&) override {
    if (binding_.input_gradients[0].values == nullptr) return;
    ParallelFor(executor_, m, RowTile(window_.InputSize()),
                [this](size_t begin, size_t end) {
                  for (size_t i = begin; i < end; ++i) Image(i);
                });
  }

 private:
  void Image(size_t image) const {
    const Window2d& w = window_;
    const GradientTarget& target = binding_.input_gradients[0];
    float* dx = target.values + image * w.InputSize();
    if (!target.accumulate) std::fill(dx, dx + w.InputSize(), 0.0f);
    const float* x = Function::kNeedsValues
                         ? Floats(binding_.inputs[0]) + image * w.InputSize()
                         : nullptr;
    size_t at = image * w.OutputPixels() * w.channels;
    for (size_t out_y = 0; out_y < w.out_height; ++out_y) {
      for (size_t out_x = 0; out_x < w.out_width; ++out_x, at += w.channels) {
        const Window window{
            w, out_y, out_x, w.RowTaps(out_y), w.ColumnTaps(out_x), w.channels};
        Function::Add(window, x,
                      Function::kNeedsValues ? binding_.output + at : nullptr,
                      binding_.output_gradient + at, dx);
      }
    }
  }

  BackwardBinding binding_;
  Executor* executor_;
  Window2d window_;
};

template <typename Function>
class Pool : public OperatorGradient {
 public:
  bool NeedsInputs() const override { return Function::kNeedsValues; }
  bool NeedsOutput() const override { return Function::kNeedsValues; }
  std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution& execution,
      const BackwardBinding& binding) const override {
    return std::make_unique<PoolStep<Function>>(model, node, execution,
                                                binding);
  }
};

}  // namespace

const OperatorGradient& AvgPool2dGradient() {
  static const Pool<Average> gradient;
  return gradient;
}

const OperatorGradient& MaxPool2dGradient() {
  static const Pool<Maximum> gradient;
  return gradient;
}

}  // namespace lutra::qat
