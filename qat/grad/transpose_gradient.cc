#include <vector>

#include "qat/grad/gradients.h"

namespace lutra::qat {
namespace {

// Each element gets the gradient of the place it was put at.
class TransposeStep : public BackwardStep {
 public:
  TransposeStep(const Model& model, const Node& node,
                const Execution& execution, const BackwardBinding& binding)
      : executor_(execution.executor),
        dy_(binding.output_gradient),
        dx_(binding.input_gradients[0]),
        places_(Places(model.value(node.inputs[0]).shape,
                       ListAttribute(node, "order"))) {}

  void Run(size_t m, const Call&) override {
    if (dx_.values == nullptr) return;
    const size_t width = places_.size();
    ForEachElement(executor_, m * width, dx_, [&](size_t i) {
      return dy_[i / width * width + places_[i % width]];
    });
  }

 private:
  // Of each element of x, where it is in y.
  static std::vector<uint32_t> Places(const std::vector<int64_t>& shape,
                                      const std::vector<int64_t>& order) {
    std::vector<uint32_t> steps(shape.size());
    uint32_t step = 1;
    for (size_t i = order.size(); i-- > 0;) {
      const auto dim = static_cast<size_t>(order[i]);
      steps[dim] = step;
      step *= static_cast<uint32_t>(shape[dim]);
    }
    std::vector<uint32_t> places = {0};
    for (size_t dim = 0; dim < shape.size(); ++dim) {
      std::vector<uint32_t> next;
      next.reserve(places.size() * static_cast<size_t>(shape[dim]));
      for (const uint32_t place : places) {
        for (uint32_t i = 0; i < static_cast<uint32_t>(shape[dim]); ++i) {
          next.push_back(place + i * steps[dim]);
        }
      }
      places = std::move(next);
    }
    return places;
  }

  Executor* executor_;
  const float* dy_;
  GradientTarget dx_;
  std::vector<uint32_t> places_;
};

class Transpose : public OperatorGradient {
 public:
  std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution& execution,
      const BackwardBinding& binding) const override {
    return std::make_unique<TransposeStep>(model, node, execution, binding);
  }
};

}  // namespace

const OperatorGradient& TransposeGradient() {
  static const Transpose gradient;
  return gradient;
}

}  // namespace lutra::qat
