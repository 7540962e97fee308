#include <algorithm>

#include "qat/grad/gradients.h"

namespace lutra::qat {
namespace {

// With y[t] = sum over j of w[j] * x[t - (taps - 1) + j]:
//   dx[t] = sum over j of w[j] * dy[t + (taps - 1) - j]
//   dw[j] = sum over t of dy[t] * x[t - (taps - 1) + j]
class CausalConv1dStep : public BackwardStep {
 public:
  CausalConv1dStep(const Model& model, const Node& node,
                   const Execution& execution, const BackwardBinding& binding)
      : binding_(binding),
        executor_(execution.executor),
        taps_(static_cast<size_t>(model.file().Get(node.weight).shape[0])),
        width_(model.value(node.output).ElementCount()),
        weight_(Tensor32(model, node.weight)),
        x_(Floats(binding.inputs[0])) {}

  void Run(size_t m, const Call& call) override {
    const GradientTarget& dx = binding_.input_gradients[0];
    if (dx.values != nullptr) {
      ForEachElement(executor_, m * width_, dx, [&](size_t i) {
        return InputGradient(call.rows[i / width_], i / width_, i % width_);
      });
    }
    if (binding_.weight_gradient != nullptr) {
      // Threads share elements of the weight.
      ParallelFor(executor_, taps_ * width_, 64, [&](size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i) {
          binding_.weight_gradient[i] +=
              WeightGradient(call, i / width_, i % width_);
        }
      });
    }
    if (binding_.bias_gradient != nullptr) {
      AddColumnSums(executor_, binding_.output_gradient, m, width_,
                    binding_.bias_gradient);
    }
  }

 private:
  float InputGradient(const RowPlace& place, size_t row, size_t column) const {
    const SequenceRows& rows = *place.sequence;
    const size_t after = rows.first + rows.count - row;  // rows from here on
    float sum = 0.0f;
    for (size_t back = 0; back < std::min(taps_, after); ++back) {
      sum += weight_[(taps_ - 1 - back) * width_ + column] *
             binding_.output_gradient[(row + back) * width_ + column];
    }
    return sum;
  }

  float WeightGradient(const Call& call, size_t tap, size_t column) const {
    const size_t back = taps_ - 1 - tap;
    float sum = 0.0f;
    for (const SequenceRows& rows : call.sequences) {
      for (size_t t = back; t < rows.count; ++t) {
        const size_t row = rows.first + t;
        sum += binding_.output_gradient[row * width_ + column] *
               x_[(row - back) * width_ + column];
      }
    }
    return sum;
  }

  BackwardBinding binding_;
  Executor* executor_;
  size_t taps_;
  size_t width_;
  const float* weight_;  // [taps, width]
  const float* x_;
};

class CausalConv1d : public OperatorGradient {
 public:
  bool NeedsInputs() const override { return true; }
  std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution& execution,
      const BackwardBinding& binding) const override {
    return std::make_unique<CausalConv1dStep>(model, node, execution, binding);
  }
};

}  // namespace

const OperatorGradient& CausalConv1dGradient() {
  static const CausalConv1d gradient;
  return gradient;
}

}  // namespace lutra::qat
