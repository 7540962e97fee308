#include "qat/grad/gradients.h"

namespace lutra::qat {
namespace {

// The vectors of a mean over tokens 0 to t are x[0] + ... + x[t] over t + 1, so
// the gradient of x[i] is the sum of dy[t] / (t + 1) from t = i on. Of a first
// token it is the sum of all dy.
class TokenPoolStep : public BackwardStep {
 public:
  TokenPoolStep(const Model& model, const Node& node,
                const BackwardBinding& binding)
      : dy_(binding.output_gradient),
        dx_(binding.input_gradients[0]),
        sums_(static_cast<float*>(binding.scratch)),
        width_(model.value(node.output).ElementCount()),
        mean_(WordAttribute(node, "over") == "mean") {}

  void Run(size_t, const Call& call) override {
    if (dx_.values == nullptr) return;
    for (const SequenceRows& rows : call.sequences) {
      for (size_t i = 0; i < width_; ++i) sums_[i] = 0.0f;
      for (size_t t = rows.count; t-- > 0;) {
        const size_t at = (rows.first + t) * width_;
        const float factor = mean_ ? 1.0f / static_cast<float>(t + 1) : 1.0f;
        for (size_t i = 0; i < width_; ++i) {
          sums_[i] += dy_[at + i] * factor;
          const float d = mean_ || t == 0 ? sums_[i] : 0.0f;
          float& target = dx_.values[at + i];
          target = dx_.accumulate ? target + d : d;
        }
      }
    }
  }

 private:
  const float* dy_;
  GradientTarget dx_;
  float* sums_;  // [width]
  size_t width_;
  bool mean_;
};

class TokenPool : public OperatorGradient {
 public:
  size_t ScratchBytes(const Model& model, const Node& node, const Execution&,
                      const BackwardCapacity&) const override {
    return model.value(node.output).ElementCount() * sizeof(float);
  }
  std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution&,
      const BackwardBinding& binding) const override {
    return std::make_unique<TokenPoolStep>(model, node, binding);
  }
};

}  // namespace

const OperatorGradient& TokenPoolGradient() {
  static const TokenPool gradient;
  return gradient;
}

}  // namespace lutra::qat
