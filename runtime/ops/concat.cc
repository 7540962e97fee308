#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/base/parallel.h"
#include "runtime/base/text_of.h"
#include "runtime/base/work_size.h"
#include "runtime/ops/operators.h"

namespace lutra {
namespace {

// Rows of `a` and rows of `b` side by side.
class ConcatStep : public Step {
 public:
  ConcatStep(const Execution& execution, const Binding& binding, size_t rows,
             size_t a, size_t b)
      : executor_(execution.executor),
        a_(static_cast<const float*>(binding.inputs[0])),
        b_(static_cast<const float*>(binding.inputs[1])),
        y_(binding.output),
        rows_(rows),
        left_(a),
        right_(b) {}

  void Run(size_t m, const Call&) override {
    const size_t width = left_ + right_;
    ParallelFor(executor_, m * rows_, (kElementsPerTask + width - 1) / width,
                [&](size_t begin, size_t end) {
                  for (size_t row = begin; row < end; ++row) {
                    float* y = y_ + row * width;
                    std::memcpy(y, a_ + row * left_, left_ * sizeof(float));
                    std::memcpy(y + left_, b_ + row * right_,
                                right_ * sizeof(float));
                  }
                });
  }

 private:
  Executor* executor_;
  const float* a_;
  const float* b_;
  float* y_;
  size_t rows_;
  size_t left_;
  size_t right_;
};

// Joins two values along their last dimension.
class Concat : public Operator {
 public:
  Concat() : Operator({.name = "concat", .inputs = 2}) {}

  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      Span<const ValueInfo* const> inputs) const override {
    for (const ValueInfo* input : inputs) CheckFloatInput(model, node, *input);
    std::vector<int64_t> shape = inputs[0]->shape;
    const std::vector<int64_t>& other = inputs[1]->shape;
    if (!shape.empty() && shape.size() == other.size() &&
        std::equal(shape.begin(), shape.end() - 1, other.begin())) {
      shape.back() += other.back();
      return shape;
    }
    throw NodeError(
        model, node,
        TextOf("inputs of the shapes ", ShapeToString(inputs[0]->shape),
               " and ", ShapeToString(inputs[1]->shape),
               " differ in more than the last dimension"));
  }

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution& execution,
                             const Binding& binding) const override {
    const ValueInfo& a = model.value(node.inputs[0]);
    const ValueInfo& b = model.value(node.inputs[1]);
    const auto left = static_cast<size_t>(a.shape.back());
    return std::make_unique<ConcatStep>(execution, binding,
                                        a.ElementCount() / left, left,
                                        static_cast<size_t>(b.shape.back()));
  }
};

}  // namespace

const Operator& ConcatOperator() {
  static const Concat op;
  return op;
}

}  // namespace lutra
