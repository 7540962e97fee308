#include <algorithm>
#include <string>

#include "lutra/kernels/vector_ops.h"
#include "runtime/base/text_of.h"
#include "runtime/ops/epilogue.h"
#include "runtime/ops/operators.h"
#include "runtime/ops/weight.h"
#include "runtime/ops/window2d.h"

namespace lutra {
namespace {

class DepthwiseStep : public Step {
 public:
  DepthwiseStep(const Model& model, const Node& node,
                const Execution& execution, const Binding& binding,
                float* output, const Epilogue& epilogue)
      : window_(MakeWindow2d(model, node, model.value(node.inputs[0]))),
        weight_(model.file().Get(node.weight).Floats(model.path()).data()),
        bias_(node.bias.empty()
                  ? nullptr
                  : model.file().Get(node.bias).Floats(model.path()).data()),
        x_(static_cast<const float*>(binding.inputs[0])),
        y_(output),
        epilogue_(epilogue),
        execution_(execution) {}

  void Run(size_t m, const Call&) override {
    ForEachOutputRow(window_, m, execution_, [this](size_t row) { Row(row); });
  }

  StepCost Cost(size_t m, const Call&) const override {
    const uint64_t size = uint64_t{window_.Taps()} * window_.channels;
    return {.bytes = size * sizeof(float),
            .multiply_adds = size * m * window_.OutputPixels()};
  }

 private:
  // `row` counts through all images.
  void Row(size_t row) const {
    const Window2d& w = window_;
    const size_t place = row % w.out_height;  // in its image
    const float* image = x_ + row / w.out_height * w.InputSize();
    const Window2d::Range rows = w.RowTaps(place);
    kernels::WindowTaps taps;
    taps.rows = rows.end - rows.begin;
    taps.x_row = w.dilation[0] * w.width * w.channels;
    taps.x_column = w.dilation[1] * w.channels;
    taps.weight_row = w.kernel[1] * w.channels;
    taps.weight_column = w.channels;
    const size_t size = w.out_width * w.channels;
    float* out = y_ + row * size;
    for (size_t column = 0; column < w.out_width; ++column) {
      execution_.CheckCancelled();
      const Window2d::Range columns = w.ColumnTaps(column);
      taps.columns = columns.end - columns.begin;
      if (taps.rows > 0 && taps.columns > 0) {
        const size_t y = w.Row(place, rows.begin);
        const size_t x = w.Column(column, columns.begin);
        taps.x = image + (y * w.width + x) * w.channels;
        taps.weight = weight_ + rows.begin * taps.weight_row +
                      columns.begin * taps.weight_column;
      }
      kernels::SumWindow(taps, bias_, w.channels, out + column * w.channels);
    }
    epilogue_.From(row * size).Apply(out, size);
  }

  Window2d window_;
  const float* weight_;  // [taps, channels]
  const float* bias_;    // [channels], or nullptr
  const float* x_;
  float* y_;
  Epilogue epilogue_;
  Execution execution_;
};

class DepthwiseConv2d : public EpilogueOperator {
 public:
  DepthwiseConv2d()
      : EpilogueOperator({.name = "depthwise_conv2d",
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
          TextOf("is ", Name(weight.dtype), " ", ShapeToString(weight.shape),
                 ", but the weight of a depthwise convolution must be F32 ",
                 ShapeToString(expected)));
    }
    weight.Floats(model.path());
    if (!node.bias.empty()) {
      GetVector(model, node.bias, window.channels,
                TextOf("the bias of weight '", node.weight, "'"));
    }
    return {static_cast<int64_t>(window.out_height),
            static_cast<int64_t>(window.out_width), inputs[0]->shape[2]};
  }

 private:
  std::unique_ptr<Step> BindWith(const Model& model, const Node& node,
                                 const Execution& execution,
                                 const Binding& binding, float* output,
                                 const Epilogue& epilogue) const override {
    return std::make_unique<DepthwiseStep>(model, node, execution, binding,
                                           output, epilogue);
  }
};

}  // namespace

const Operator& DepthwiseConv2dOperator() {
  static const DepthwiseConv2d op;
  return op;
}

}  // namespace lutra
