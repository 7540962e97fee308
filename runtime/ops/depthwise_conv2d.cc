#include <algorithm>
#include <string>

#include "kernels/base/clones.h"
#include "runtime/ops/operators.h"
#include "runtime/ops/weight.h"
#include "runtime/ops/window2d.h"

namespace lutra {
namespace {

// An output pixel of an image, without the bias.
LUTRA_CLONES void SumTaps(const Window2d& w, const float* __restrict image,
                          const float* __restrict weight, size_t row,
                          size_t column, float* __restrict out) {
  std::fill(out, out + w.channels, 0.0f);
  for (size_t ky = 0; ky < w.kernel[0]; ++ky) {
    for (size_t kx = 0; kx < w.kernel[1]; ++kx, weight += w.channels) {
      const size_t y = w.Row(row, ky);
      const size_t x = w.Column(column, kx);
      if (y >= w.height || x >= w.width) continue;
      const float* in = image + (y * w.width + x) * w.channels;
      for (size_t c = 0; c < w.channels; ++c) out[c] += in[c] * weight[c];
    }
  }
}

class DepthwiseStep : public Step {
 public:
  DepthwiseStep(const Model& model, const Node& node,
                const Execution& execution, const Binding& binding)
      : window_(MakeWindow2d(model, node, model.value(node.inputs[0]))),
        weight_(model.file().Get(node.weight).Floats(model.path()).data()),
        bias_(node.bias.empty()
                  ? nullptr
                  : model.file().Get(node.bias).Floats(model.path()).data()),
        x_(static_cast<const float*>(binding.inputs[0])),
        y_(binding.output),
        execution_(execution) {}

  void Run(size_t m, const Call&) override {
    ForEachOutputPixel(
        window_, m, execution_,
        [this](size_t row, size_t column) { Pixel(row, column); });
  }

  StepCost Cost(size_t m, const Call&) const override {
    const uint64_t size = uint64_t{window_.Taps()} * window_.channels;
    return {.bytes = size * sizeof(float),
            .multiply_adds = size * m * window_.OutputPixels()};
  }

 private:
  // `row` counts through all images.
  void Pixel(size_t row, size_t column) const {
    const Window2d& w = window_;
    const float* image = x_ + row / w.out_height * w.InputSize();
    float* out = y_ + (row * w.out_width + column) * w.channels;
    SumTaps(w, image, weight_, row % w.out_height, column, out);
    if (bias_ == nullptr) return;
    for (size_t c = 0; c < w.channels; ++c) out[c] += bias_[c];
  }

  Window2d window_;
  const float* weight_;  // [taps, channels]
  const float* bias_;    // [channels], or nullptr
  const float* x_;
  float* y_;
  Execution execution_;
};

class DepthwiseConv2d : public Operator {
 public:
  DepthwiseConv2d()
      : Operator({.name = "depthwise_conv2d",
                  .weight = TensorUse::kRequired,
                  .bias = TensorUse::kOptional,
                  .attributes = ConvolutionAttributes()}) {}

  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      Span<const ValueInfo* const> inputs) const override {
    const Window2d window = MakeWindow2d(model, node, *inputs[0]);
    const TensorView& weight = model.file().Get(node.weight);
    const std::vector<int64_t> expected = {
        static_cast<int64_t>(window.Taps()),
        static_cast<int64_t>(window.channels)};
    if (weight.dtype != DType::kFloat32 || weight.shape != expected) {
      throw Error::InTensor(
          model.path(), node.weight,
          "is " + std::string(Name(weight.dtype)) + " " +
              ShapeToString(weight.shape) +
              ", but the weight of a depthwise convolution must be F32 " +
              ShapeToString(expected));
    }
    weight.Floats(model.path());
    if (!node.bias.empty()) {
      GetVector(model, node.bias, window.channels,
                "the bias of weight '" + node.weight + "'");
    }
    return {static_cast<int64_t>(window.out_height),
            static_cast<int64_t>(window.out_width), inputs[0]->shape[2]};
  }

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution& execution,
                             const Binding& binding) const override {
    return std::make_unique<DepthwiseStep>(model, node, execution, binding);
  }
};

}  // namespace

const Operator& DepthwiseConv2dOperator() {
  static const DepthwiseConv2d op;
  return op;
}

}  // namespace lutra
