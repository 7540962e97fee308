#include <algorithm>

#include "lutra/runtime/input_quantization.h"
#include "lutra/runtime/window2d.h"
#include "qat/grad/gradients.h"
#include "qat/grad/matmul.h"
#include "qat/grad/rounded_rows.h"

namespace lutra::qat {
namespace {

// Floats of what lies under the windows of a block of images: enough for the
// products to run at their speed, little enough to stay in the cache.
constexpr size_t kBlockFloats = size_t{1} << 18;

struct Shape {
  Shape(const Model& model, const Node& node, const Execution& execution)
      : rounding(FloatInput(node, execution)),
        window(MakeWindow2d(model, node, model.value(node.inputs[0]))),
        outputs(static_cast<size_t>(model.value(node.output).shape[2])),
        k(window.Taps() * window.channels) {}

  // The image itself is what is multiplied.
  bool Pointwise() const {
    return !rounding && window.Taps() == 1 &&
           window.OutputPixels() * window.channels == window.InputSize() &&
           window.padding[0] == 0 && window.padding[2] == 0;
  }
  // Images of a block, whose gradients are so summed by one thread each.
  size_t BlockImages(size_t m) const {
    const size_t image = window.OutputPixels() * k;
    return std::clamp<size_t>(kBlockFloats / image, 1, m);
  }
  size_t BlockRows(size_t m) const {
    return BlockImages(m) * window.OutputPixels();
  }
  size_t BlockBytes(size_t m) const {
    if (rounding) return RoundedRows::Bytes(rounding, BlockRows(m), k);
    return Pointwise() ? 0 : BlockRows(m) * k * sizeof(float);
  }

  std::optional<kernels::ActivationRounding> rounding;
  Window2d window;
  size_t outputs;  // channels of the output
  size_t k;        // taps * channels of the input
};

// The products of a linear layer whose rows are what lies under the windows.
class Conv2dStep : public BackwardStep {
 public:
  Conv2dStep(const Model& model, const Node& node, const Execution& execution,
             const BackwardBinding& binding)
      : binding_(binding),
        executor_(execution.executor),
        shape_(model, node, execution),
        weight_(Tensor32(model, node.weight)),
        rows_(static_cast<float*>(binding.scratch)),
        rounded_(shape_.rounding, shape_.BlockRows(binding.capacity.rows),
                 shape_.k, rows_, executor_) {}

  void Run(size_t m, const Call&) override {
    const size_t pixels = shape_.window.OutputPixels();
    const size_t block = shape_.BlockImages(binding_.capacity.rows);
    for (size_t image = 0; image < m; image += block) {
      RunBlock(image, std::min(block, m - image));
    }
    if (binding_.bias_gradient != nullptr) {
      AddColumnSums(executor_, binding_.output_gradient, m * pixels,
                    shape_.outputs, binding_.bias_gradient);
    }
  }

 private:
  void RunBlock(size_t image, size_t images) const {
    const Window2d& w = shape_.window;
    const size_t pixels = images * w.OutputPixels();
    const float* x = Floats(binding_.inputs[0]) + image * w.InputSize();
    const float* dy =
        binding_.output_gradient + image * w.OutputPixels() * shape_.outputs;
    const GradientTarget& target = binding_.input_gradients[0];
    float* dx = target.values == nullptr
                    ? nullptr
                    : target.values + image * w.InputSize();
    const bool pointwise = shape_.Pointwise();
    if (rounded_ || (!pointwise && binding_.weight_gradient != nullptr)) {
      ForEachImage(images, [&](size_t i) {
        ForEachPixel<const float>(x + i * w.InputSize(), i, Gather);
      });
      rounded_.Round(rows_, pixels);
    }
    if (binding_.weight_gradient != nullptr) {
      MatMul({dy, /*transposed=*/true}, {pointwise ? x : rows_}, shape_.outputs,
             shape_.k, pixels, /*accumulate=*/true, {binding_.weight_gradient},
             executor_);
    }
    if (dx == nullptr) return;
    if (pointwise) {
      MatMul({dy}, {weight_}, pixels, shape_.k, shape_.outputs,
             target.accumulate, {dx}, executor_);
      return;
    }
    MatMul({dy}, {weight_}, pixels, shape_.k, shape_.outputs,
           /*accumulate=*/false, {rows_}, executor_);
    rounded_.Mask(rows_, pixels);
    ForEachImage(images, [&](size_t i) {
      float* out = dx + i * w.InputSize();
      if (!target.accumulate) std::fill(out, out + w.InputSize(), 0.0f);
      ForEachPixel<float>(out, i, Scatter);
    });
  }

  template <typename Body>
  void ForEachImage(size_t images, const Body& body) const {
    ParallelFor(executor_, images, 1, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) body(i);
    });
  }

  // `channels` values of a pixel, or nullptr where the window is beyond the
  // image, and their place in a row.
  static void Gather(const float* pixel, size_t channels, float* row) {
    if (pixel == nullptr) {
      std::fill(row, row + channels, 0.0f);
    } else {
      std::copy(pixel, pixel + channels, row);
    }
  }
  static void Scatter(float* pixel, size_t channels, float* row) {
    if (pixel == nullptr) return;
    for (size_t c = 0; c < channels; ++c) pixel[c] += row[c];
  }

  // Calls body for each tap of each window of image `index` of the block.
  template <typename T, typename Body>
  void ForEachPixel(T* image, size_t index, const Body& body) const {
    const Window2d& w = shape_.window;
    float* row = rows_ + index * w.OutputPixels() * shape_.k;
    for (size_t out_y = 0; out_y < w.out_height; ++out_y) {
      for (size_t out_x = 0; out_x < w.out_width; ++out_x) {
        for (size_t ky = 0; ky < w.kernel[0]; ++ky) {
          for (size_t kx = 0; kx < w.kernel[1]; ++kx, row += w.channels) {
            const size_t y = w.Row(out_y, ky);
            const size_t x = w.Column(out_x, kx);
            const bool inside = y < w.height && x < w.width;
            body(inside ? image + (y * w.width + x) * w.channels : nullptr,
                 w.channels, row);
          }
        }
      }
    }
  }

  BackwardBinding binding_;
  Executor* executor_;
  Shape shape_;
  const float* weight_;
  float* rows_;          // [pixels of a block, k]
  RoundedRows rounded_;  // of the same memory
};

class Conv2d : public OperatorGradient {
 public:
  bool NeedsInputs() const override { return true; }

  size_t ScratchBytes(const Model& model, const Node& node,
                      const Execution& execution,
                      const BackwardCapacity& capacity) const override {
    return Shape(model, node, execution).BlockBytes(capacity.rows);
  }

  std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution& execution,
      const BackwardBinding& binding) const override {
    return std::make_unique<Conv2dStep>(model, node, execution, binding);
  }
};

}  // namespace

const OperatorGradient& Conv2dGradient() {
  static const Conv2d gradient;
  return gradient;
}

}  // namespace lutra::qat
