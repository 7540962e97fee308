#include "kernels/base/parallel.h"
#include "lutra/kernels/vector_ops.h"
#include "runtime/ops/operators.h"

namespace lutra {
namespace {

// Elements per piece of work, rounded up to whole rows.
constexpr size_t kElementsPerSoftmax = 4096;

class SoftmaxStep : public Step {
 public:
  SoftmaxStep(const float* x, float* y, size_t rows, size_t columns,
              Executor* executor)
      : x_(x), y_(y), rows_(rows), columns_(columns), executor_(executor) {}

  void Run(size_t m, const Call&) override {
    const size_t tile = (kElementsPerSoftmax + columns_ - 1) / columns_;
    ParallelFor(executor_, m * rows_, tile, [this](size_t begin, size_t end) {
      for (size_t row = begin; row < end; ++row) {
        kernels::SoftmaxRow(x_ + row * columns_, columns_, y_ + row * columns_);
      }
    });
  }

 private:
  const float* x_;
  float* y_;
  size_t rows_;  // of `columns_` in a row of the call
  size_t columns_;
  Executor* executor_;
};

class Softmax : public Operator {
 public:
  Softmax() : Operator({.name = "softmax"}) {}

  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      Span<const ValueInfo* const> inputs) const override {
    if (inputs[0]->type != ValueType::kFloat32 || inputs[0]->shape.empty()) {
      throw NodeError(model, node,
                      "input '" + inputs[0]->name +
                          "' must be float32 with at least one dimension");
    }
    return inputs[0]->shape;
  }

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution& execution,
                             const Binding& binding) const override {
    const ValueInfo& value = model.value(node.output);
    const auto columns = static_cast<size_t>(value.shape.back());
    return std::make_unique<SoftmaxStep>(
        static_cast<const float*>(binding.inputs[0]), binding.output,
        value.ElementCount() / columns, columns, execution.executor);
  }
};

}  // namespace

const Operator& SoftmaxOperator() {
  static const Softmax op;
  return op;
}

}  // namespace lutra
