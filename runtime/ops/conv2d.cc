#include <algorithm>
#include <string>

#include "kernels/base/checked_math.h"
#include "kernels/base/parallel.h"
#include "runtime/base/out_of_memory.h"
#include "runtime/base/text_of.h"
#include "runtime/ops/epilogue.h"
#include "runtime/ops/matrix_product.h"
#include "runtime/ops/operators.h"
#include "runtime/ops/window2d.h"

namespace lutra {
namespace {

// Pixels that are rearranged and multiplied at a time: enough for the GEMM to
// run at its speed, few enough to stay in the cache.
constexpr size_t kBlockPixels = 128;
// Pixels per piece of work when rows are gathered.
constexpr size_t kGatherTile = 16;

constexpr size_t kAlignment = 64;

const ValueInfo& Input(const Model& model, const Node& node) {
  return model.value(node.inputs[0]);
}

// A window of one pixel that moves by one: the image itself is the matrix.
bool IsPointwise(const Window2d& w) {
  return w.Taps() == 1 && w.stride[0] == 1 && w.stride[1] == 1 &&
         std::all_of(std::begin(w.padding), std::end(w.padding),
                     [](size_t p) { return p == 0; });
}

size_t BlockPixels(const Window2d& w, size_t m) {
  const auto pixels = CheckedMultiply(m, w.OutputPixels());
  return pixels ? std::min(*pixels, kBlockPixels) : kBlockPixels;
}

size_t GatheredBytes(const Window2d& w, size_t m) {
  if (IsPointwise(w)) return 0;
  const auto floats = CheckedElementCount(
      {{static_cast<int64_t>(BlockPixels(w, m)), static_cast<int64_t>(w.Taps()),
        static_cast<int64_t>(w.channels)}});
  const auto bytes =
      floats ? CheckedMultiply(*floats, sizeof(float)) : std::nullopt;
  const auto padded = bytes ? CheckedAdd(*bytes, kAlignment - 1) : std::nullopt;
  if (!padded) throw OutOfMemory("a convolution overflows memory");
  return *padded / kAlignment * kAlignment;
}

class Conv2dStep : public Step {
 public:
  Conv2dStep(const Model& model, const Node& node, const Execution& execution,
             const Binding& binding, float* output, const Epilogue& epilogue)
      : window_(MakeWindow2d(model, node, Input(model, node))),
        block_(BlockPixels(window_, binding.m)),
        gathered_(static_cast<float*>(binding.scratch)),
        product_(model, node, execution, block_,
                 static_cast<std::byte*>(binding.scratch) +
                     GatheredBytes(window_, binding.m)),
        x_(static_cast<const float*>(binding.inputs[0])),
        y_(output),
        epilogue_(epilogue),
        execution_(execution) {}

  void Run(size_t m, const Call&) override {
    const size_t pixels = m * window_.OutputPixels();
    const size_t k = product_.weight().k;
    const bool pointwise = IsPointwise(window_);
    for (size_t first = 0; first < pixels; first += block_) {
      execution_.CheckCancelled();
      const size_t count = std::min(block_, pixels - first);
      if (!pointwise) {
        ParallelFor(execution_.executor, count, kGatherTile,
                    [&](size_t begin, size_t end) {
                      for (size_t i = begin; i < end; ++i) {
                        const size_t pixel = first + i;
                        const size_t image = pixel / window_.OutputPixels();
                        GatherWindow(window_, x_ + image * window_.InputSize(),
                                     pixel % window_.OutputPixels(),
                                     gathered_ + i * k);
                      }
                    });
      }
      const size_t done = first * product_.weight().n;
      product_.Run(pointwise ? x_ + first * k : gathered_, count, y_ + done,
                   epilogue_.From(done));
    }
  }

  StepCost Cost(size_t m, const Call&) const override {
    return product_.Cost(m * window_.OutputPixels());
  }

 private:
  Window2d window_;
  size_t block_;
  float* gathered_;  // [block, taps * channels]
  MatrixProduct product_;
  const float* x_;
  float* y_;
  Epilogue epilogue_;
  Execution execution_;
};

class Conv2d : public EpilogueOperator {
 public:
  Conv2d()
      : EpilogueOperator({.name = "conv2d",
                          .weight = TensorUse::kRequired,
                          .bias = TensorUse::kOptional,
                          .packable = true,
                          .attributes = Attributes()}) {}

  static std::vector<AttributeSchema> Attributes() {
    std::vector<AttributeSchema> attributes = ConvolutionAttributes();
    for (const AttributeSchema& input : InputAttributes()) {
      attributes.push_back(input);
    }
    return attributes;
  }

  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      Span<const ValueInfo* const> inputs) const override {
    const Window2d window = MakeWindow2d(model, node, *inputs[0]);
    const Weight w = GetWeight(model, node.weight);
    const auto k = CheckedMultiply(window.Taps(), window.channels);
    if (!k || *k != w.k) {
      throw NodeError(model, node,
                      TextOf("a window of ", window.kernel[0], " by ",
                             window.kernel[1], " over ", window.channels,
                             " channels does not fit the weight '", node.weight,
                             "' of shape [", w.n, ", ", w.k, "]"));
    }
    CheckInputQuantization(model, node);
    GetBias(model, node, w.n);
    return {static_cast<int64_t>(window.out_height),
            static_cast<int64_t>(window.out_width), int64_t{w.n}};
  }

  size_t ScratchBytes(const Model& model, const Node& node,
                      const Execution& execution, size_t m) const override {
    const Window2d window = MakeWindow2d(model, node, Input(model, node));
    const auto bytes =
        CheckedAdd(GatheredBytes(window, m),
                   MatrixProduct::ScratchBytes(model, node, execution,
                                               BlockPixels(window, m)));
    if (!bytes) throw OutOfMemory("a convolution overflows memory");
    return *bytes;
  }

 private:
  std::unique_ptr<Step> BindWith(const Model& model, const Node& node,
                                 const Execution& execution,
                                 const Binding& binding, float* output,
                                 const Epilogue& epilogue) const override {
    return std::make_unique<Conv2dStep>(model, node, execution, binding, output,
                                        epilogue);
  }
};

}  // namespace

const Operator& Conv2dOperator() {
  static const Conv2d op;
  return op;
}

}  // namespace lutra
