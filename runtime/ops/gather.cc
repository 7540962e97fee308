#include <cstdint>
#include <string>
#include <vector>

#include "kernels/base/parallel.h"
#include "runtime/base/text_of.h"
#include "runtime/base/work_size.h"
#include "runtime/ops/operators.h"
#include "runtime/ops/weight.h"

namespace lutra {
namespace {

class GatherStep : public Step {
 public:
  GatherStep(const Execution& execution, const Binding& binding, size_t width,
             std::vector<uint32_t> places)
      : executor_(execution.executor),
        x_(static_cast<const float*>(binding.inputs[0])),
        y_(binding.output),
        width_(width),
        places_(std::move(places)) {}

  void Run(size_t m, const Call&) override {
    const size_t rows =
        (kElementsPerTask + places_.size() - 1) / places_.size();
    ParallelFor(executor_, m, rows, [this](size_t begin, size_t end) {
      for (size_t row = begin; row < end; ++row) {
        const float* x = x_ + row * width_;
        float* y = y_ + row * places_.size();
        for (size_t i = 0; i < places_.size(); ++i) y[i] = x[places_[i]];
      }
    });
  }

 private:
  Executor* executor_;
  const float* x_;
  float* y_;
  size_t width_;
  std::vector<uint32_t> places_;
};

// Element i is that of the input at the place weight[i].
class Gather : public Operator {
 public:
  Gather() : Operator({.name = "gather", .weight = TensorUse::kRequired}) {}

  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      Span<const ValueInfo* const> inputs) const override {
    CheckFloatInput(model, node, *inputs[0], 1);
    const TensorView& places = model.file().Get(node.weight);
    const size_t count = places.ElementCount();
    if (places.shape.size() != 1 || count == 0 || count > size_t{1} << 31) {
      throw NodeError(
          model, node,
          TextOf("the places have the shape ", ShapeToString(places.shape),
                 ", expected a vector"));
    }
    const float* values = GetVector(model, node.weight, count, "the places");
    const auto width = static_cast<float>(inputs[0]->ElementCount());
    for (size_t i = 0; i < count; ++i) {
      // Not a comparison that a NaN passes.
      if (values[i] >= 0 && values[i] < width &&
          values[i] == static_cast<float>(static_cast<uint32_t>(values[i]))) {
        continue;
      }
      throw NodeError(
          model, node,
          TextOf("place ", i, " is not an element of '", inputs[0]->name, "'"));
    }
    return {static_cast<int64_t>(count)};
  }

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution& execution,
                             const Binding& binding) const override {
    const size_t count = model.value(node.output).ElementCount();
    const float* values = GetVector(model, node.weight, count, "the places");
    std::vector<uint32_t> places(values, values + count);
    return std::make_unique<GatherStep>(
        execution, binding, model.value(node.inputs[0]).ElementCount(),
        std::move(places));
  }
};

}  // namespace

const Operator& GatherOperator() {
  static const Gather op;
  return op;
}

}  // namespace lutra
