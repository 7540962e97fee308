#include "runtime/ops/causal_conv1d.h"

#include <algorithm>
#include <string>

#include "kernels/base/parallel.h"
#include "runtime/base/text_of.h"
#include "runtime/base/work_size.h"
#include "runtime/ops/operators.h"
#include "runtime/ops/weight.h"

namespace lutra {
namespace {

const TensorView& Taps(const Model& model, const Node& node) {
  return model.file().Get(node.weight);
}

size_t TapCount(const Model& model, const Node& node) {
  return static_cast<size_t>(Taps(model, node).shape[0]);
}

class CausalConv1dStep : public Step {
 public:
  CausalConv1dStep(const Model& model, const Node& node,
                   const Execution& execution, const Binding& binding)
      : executor_(execution.executor),
        taps_(TapCount(model, node)),
        width_(model.value(node.output).ElementCount()),
        weight_(Taps(model, node).Floats(model.path()).data()),
        bias_(GetBias(model, node, static_cast<uint32_t>(width_))),
        x_(static_cast<const float*>(binding.inputs[0])),
        y_(binding.output),
        state_offset_(binding.state_offset) {}

  void Run(size_t m, const Call& call) override {
    const size_t tile = (kElementsPerTask + width_ - 1) / width_;
    ParallelFor(executor_, m, tile, [&](size_t begin, size_t end) {
      for (size_t row = begin; row < end; ++row) Row(call.rows[row], row);
    });
    for (const SequenceRows& rows : call.sequences) Remember(rows);
  }

 private:
  // The input `back` tokens before the one at `index` of the sequence's rows of
  // the call; nullptr in front of the text.
  const float* Before(const SequenceRows& rows, size_t index,
                      size_t back) const {
    if (back <= index) return x_ + (rows.first + index - back) * width_;
    const size_t missing = back - index;  // at most taps_ - 1
    if (rows.position < missing) return nullptr;
    const auto* old =
        reinterpret_cast<const float*>(rows.old_state + state_offset_);
    return old + (taps_ - 1 - missing) * width_;
  }

  void Row(const RowPlace& place, size_t row) const {
    const SequenceRows& rows = *place.sequence;
    const size_t index = row - rows.first;
    float* __restrict y = y_ + row * width_;
    std::fill(y, y + width_, 0.0f);
    for (size_t tap = 0; tap < taps_; ++tap) {
      const float* __restrict x = Before(rows, index, taps_ - 1 - tap);
      if (x == nullptr) continue;
      const float* __restrict w = weight_ + tap * width_;
      for (size_t i = 0; i < width_; ++i) y[i] += w[i] * x[i];
    }
    if (bias_ == nullptr) return;
    for (size_t i = 0; i < width_; ++i) y[i] += bias_[i];
  }

  // The last inputs, zeros where there are none.
  void Remember(const SequenceRows& rows) const {
    auto* state = reinterpret_cast<float*>(rows.new_state + state_offset_);
    for (size_t i = 0; i + 1 < taps_; ++i, state += width_) {
      const float* x = Before(rows, rows.count, taps_ - 1 - i);
      if (x == nullptr) {
        std::fill(state, state + width_, 0.0f);
      } else {
        std::copy(x, x + width_, state);
      }
    }
  }

  Executor* executor_;
  size_t taps_;
  size_t width_;
  const float* weight_;  // [taps, width]
  const float* bias_;
  const float* x_;
  float* y_;
  size_t state_offset_;
};

// A convolution of each channel over the last tokens, as in Gu and Dao,
// "Mamba", 2023.
class CausalConv1d : public Operator {
 public:
  CausalConv1d()
      : Operator({.name = "causal_conv1d",
                  .weight = TensorUse::kRequired,
                  .bias = TensorUse::kOptional,
                  .context = RowContext::kState}) {}

  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      Span<const ValueInfo* const> inputs) const override {
    CheckFloatInput(model, node, *inputs[0], 1);
    const TensorView& taps = Taps(model, node);
    constexpr int64_t kMaxTaps = 1024;
    if (taps.dtype != DType::kFloat32 || taps.shape.size() != 2 ||
        taps.shape[0] < 1 || taps.shape[0] > kMaxTaps ||
        taps.shape[1] != inputs[0]->shape[0]) {
      throw Error::InTensor(
          model.path(), node.weight,
          TextOf("is ", Name(taps.dtype), " ", ShapeToString(taps.shape),
                 ", but taps are F32, 1 to ", kMaxTaps, " rows of ",
                 inputs[0]->shape[0]));
    }
    taps.Floats(model.path());
    GetBias(model, node, static_cast<uint32_t>(inputs[0]->shape[0]));
    return inputs[0]->shape;
  }

  size_t StateBytes(const Model& model, const Node& node) const override {
    return (TapCount(model, node) - 1) *
           model.value(node.output).ElementCount() * sizeof(float);
  }

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution& execution,
                             const Binding& binding) const override {
    return std::make_unique<CausalConv1dStep>(model, node, execution, binding);
  }
};

}  // namespace

void ReferenceCausalConv1d(std::span<const float> x,
                           std::span<const float> weight, const float* bias,
                           size_t width, float* y) {
  const size_t taps = weight.size() / width;
  for (size_t at = 0; at < x.size(); ++at) {
    const size_t before = at / width;  // tokens
    const size_t left_out = taps - 1 > before ? taps - 1 - before : 0;
    y[at] = 0.0f;
    for (size_t j = left_out; j < taps; ++j) {
      y[at] += weight[j * width + at % width] * x[at - (taps - 1 - j) * width];
    }
    if (bias != nullptr) y[at] += bias[at % width];
  }
}

const Operator& CausalConv1dOperator() {
  static const CausalConv1d op;
  return op;
}

}  // namespace lutra
