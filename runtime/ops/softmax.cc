#include <algorithm>
#include <limits>

#include "kernels/base/parallel.h"
#include "lutra/kernels/vector_ops.h"
#include "runtime/base/text_of.h"
#include "runtime/ops/operators.h"

namespace lutra {
namespace {

// Elements per piece of work, rounded up to whole rows.
constexpr size_t kElementsPerSoftmax = 4096;

class SoftmaxStep : public Step {
 public:
  SoftmaxStep(const float* x, float* y, size_t rows, size_t columns, bool zeros,
              Executor* executor)
      : x_(x),
        y_(y),
        rows_(rows),
        columns_(columns),
        zeros_(zeros),
        executor_(executor) {}

  void Run(size_t m, const Call&) override {
    const size_t tile = (kElementsPerSoftmax + columns_ - 1) / columns_;
    ParallelFor(executor_, m * rows_, tile, [this](size_t begin, size_t end) {
      for (size_t row = begin; row < end; ++row) {
        const float* const x = x_ + row * columns_;
        float* const y = y_ + row * columns_;
        if (zeros_ && IsEmpty(x)) {
          std::fill_n(y, columns_, 0.0f);
        } else {
          kernels::SoftmaxRow(x, columns_, y);
        }
      }
    });
  }

 private:
  bool IsEmpty(const float* x) const {
    constexpr float kNothing = -std::numeric_limits<float>::infinity();
    return std::all_of(x, x + columns_,
                       [](float value) { return value == kNothing; });
  }

  const float* x_;
  float* y_;
  size_t rows_;  // of `columns_` in a row of the call
  size_t columns_;
  bool zeros_;  // where there is nothing but minus infinity
  Executor* executor_;
};

class Softmax : public Operator {
 public:
  Softmax()
      : Operator({.name = "softmax",
                  .attributes = {{.name = "empty",
                                  .kind = AttributeKind::kWord,
                                  .required = false,
                                  .words = "nan zero"}}}) {}

  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      Span<const ValueInfo* const> inputs) const override {
    if (inputs[0]->type != ValueType::kFloat32 || inputs[0]->shape.empty()) {
      throw NodeError(model, node,
                      TextOf("input '", inputs[0]->name,
                             "' must be float32 with at least one dimension"));
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
        value.ElementCount() / columns, columns,
        WordAttribute(node, "empty") == "zero", execution.executor);
  }
};

}  // namespace

const Operator& SoftmaxOperator() {
  static const Softmax op;
  return op;
}

}  // namespace lutra
