#include <algorithm>

#include "qat/grad/gradients.h"

namespace lutra::qat {
namespace {

class PositionEmbeddingStep : public BackwardStep {
 public:
  PositionEmbeddingStep(const Model& model, const Node& node,
                        const Execution& execution,
                        const BackwardBinding& binding)
      : executor_(execution.executor),
        dy_(binding.output_gradient),
        dx_(binding.input_gradients[0]),
        dweight_(binding.weight_gradient),
        width_(model.value(node.output).ElementCount()) {}

  void Run(size_t m, const Call& call) override {
    if (dx_.values != nullptr) {
      ForEachElement(executor_, m * width_, dx_,
                     [this](size_t i) { return dy_[i]; });
    }
    if (dweight_ == nullptr) return;
    // Rows of several sequences may be at one position.
    for (size_t row = 0; row < m; ++row) {
      const float* dy = dy_ + row * width_;
      float* sum = dweight_ + call.rows[row].position * width_;
      for (size_t i = 0; i < width_; ++i) sum[i] += dy[i];
    }
  }

 private:
  Executor* executor_;
  const float* dy_;
  GradientTarget dx_;
  float* dweight_;
  size_t width_;
};

class PositionEmbedding : public OperatorGradient {
 public:
  std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution& execution,
      const BackwardBinding& binding) const override {
    return std::make_unique<PositionEmbeddingStep>(model, node, execution,
                                                   binding);
  }
};

class PositionScaleStep : public BackwardStep {
 public:
  PositionScaleStep(const Model& model, const Node& node,
                    const Execution& execution, const BackwardBinding& binding)
      : executor_(execution.executor),
        dy_(binding.output_gradient),
        dx_(binding.input_gradients[0]),
        table_(Tensor32(model, node.weight)),
        last_(model.file().Get(node.weight).ElementCount() - 1),
        period_(CountAttribute(node, "period")),
        width_(model.value(node.output).ElementCount()) {}

  void Run(size_t m, const Call& call) override {
    if (dx_.values == nullptr) return;
    ForEachElement(executor_, m * width_, dx_, [&](size_t i) {
      const size_t place = call.rows[i / width_].position / period_;
      return dy_[i] * table_[std::min(place, last_)];
    });
  }

 private:
  Executor* executor_;
  const float* dy_;
  GradientTarget dx_;
  const float* table_;
  size_t last_;
  size_t period_;
  size_t width_;
};

// Its table is a constant.
class PositionScale : public OperatorGradient {
 public:
  bool TrainsWeight() const override { return false; }
  std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution& execution,
      const BackwardBinding& binding) const override {
    return std::make_unique<PositionScaleStep>(model, node, execution, binding);
  }
};

}  // namespace

const OperatorGradient& PositionEmbeddingGradient() {
  static const PositionEmbedding gradient;
  return gradient;
}

const OperatorGradient& PositionScaleGradient() {
  static const PositionScale gradient;
  return gradient;
}

}  // namespace lutra::qat
