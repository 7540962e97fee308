#include <algorithm>

#include "kernels/base/clones.h"
#include "lutra/runtime/window2d.h"
#include "qat/grad/gradients.h"

namespace lutra::qat {
namespace {

// Calls body(offset in the output image, offset in the input image) for the
// pixels of an image where a tap lies on it.
template <typename Body>
void ForEachPixel(const Window2d& w, size_t tap, const Body& body) {
  const size_t ky = tap / w.kernel[1];
  const size_t kx = tap % w.kernel[1];
  for (size_t out_y = 0; out_y < w.out_height; ++out_y) {
    const size_t y = w.Row(out_y, ky);
    if (y >= w.height) continue;
    for (size_t out_x = 0; out_x < w.out_width; ++out_x) {
      const size_t x = w.Column(out_x, kx);
      if (x >= w.width) continue;
      body((out_y * w.out_width + out_x) * w.channels,
           (y * w.width + x) * w.channels);
    }
  }
}

// Adds the gradient of an image.
LUTRA_CLONES void AddToImage(const Window2d& w, const float* weight,
                             const float* __restrict dy, float* __restrict dx) {
  const size_t channels = w.channels;
  for (size_t tap = 0; tap < w.Taps(); ++tap) {
    const float* of_tap = weight + tap * channels;
    ForEachPixel(w, tap, [=](size_t out, size_t in) {
      for (size_t c = 0; c < channels; ++c) {
        dx[in + c] += dy[out + c] * of_tap[c];
      }
    });
  }
}

// Adds the gradient of a tap by an image.
LUTRA_CLONES void AddToTap(const Window2d& w, size_t tap,
                           const float* __restrict x,
                           const float* __restrict dy, float* __restrict sum) {
  const size_t channels = w.channels;
  ForEachPixel(w, tap, [=](size_t out, size_t in) {
    for (size_t c = 0; c < channels; ++c) sum[c] += dy[out + c] * x[in + c];
  });
}

class DepthwiseStep : public BackwardStep {
 public:
  DepthwiseStep(const Model& model, const Node& node,
                const Execution& execution, const BackwardBinding& binding)
      : binding_(binding),
        executor_(execution.executor),
        window_(MakeWindow2d(model, node, model.value(node.inputs[0]))),
        weight_(Tensor32(model, node.weight)) {}

  void Run(size_t m, const Call&) override {
    const GradientTarget& dx = binding_.input_gradients[0];
    if (dx.values != nullptr) {
      ParallelFor(executor_, m, 1, [&](size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i) Image(i, dx);
      });
    }
    // Threads share taps, so that the order of a sum is that of the pixels.
    if (binding_.weight_gradient != nullptr) {
      ParallelFor(executor_, window_.Taps(), 1, [&](size_t begin, size_t end) {
        for (size_t tap = begin; tap < end; ++tap) Tap(m, tap);
      });
    }
    if (binding_.bias_gradient != nullptr) {
      AddColumnSums(executor_, binding_.output_gradient,
                    m * window_.OutputPixels(), window_.channels,
                    binding_.bias_gradient);
    }
  }

 private:
  const float* OutputGradient(size_t image) const {
    return binding_.output_gradient +
           image * window_.OutputPixels() * window_.channels;
  }

  void Image(size_t image, const GradientTarget& target) const {
    float* dx = target.values + image * window_.InputSize();
    if (!target.accumulate) std::fill(dx, dx + window_.InputSize(), 0.0f);
    AddToImage(window_, weight_, OutputGradient(image), dx);
  }

  void Tap(size_t m, size_t tap) const {
    const float* x = Floats(binding_.inputs[0]);
    float* sum = binding_.weight_gradient + tap * window_.channels;
    for (size_t image = 0; image < m; ++image) {
      AddToTap(window_, tap, x + image * window_.InputSize(),
               OutputGradient(image), sum);
    }
  }

  BackwardBinding binding_;
  Executor* executor_;
  Window2d window_;
  const float* weight_;  // [taps, channels]
};

class DepthwiseConv2d : public OperatorGradient {
 public:
  bool NeedsInputs() const override { return true; }
  std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution& execution,
      const BackwardBinding& binding) const override {
    return std::make_unique<DepthwiseStep>(model, node, execution, binding);
  }
};

}  // namespace

const OperatorGradient& DepthwiseConv2dGradient() {
  static const DepthwiseConv2d gradient;
  return gradient;
}

}  // namespace lutra::qat
