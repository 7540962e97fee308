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

// A dimension of the output: where its elements lie in the input.
struct Stride {
  size_t size = 1;
  size_t step = 1;
};

// Of the output, the outermost first; those that lie as one are joined.
std::vector<Stride> Strides(const std::vector<int64_t>& shape,
                            const std::vector<int64_t>& order) {
  std::vector<size_t> steps(shape.size());
  size_t step = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    steps[i] = step;
    step *= static_cast<size_t>(shape[i]);
  }
  std::vector<Stride> strides;
  for (const int64_t dim : order) {
    const auto i = static_cast<size_t>(dim);
    const Stride next = {static_cast<size_t>(shape[i]), steps[i]};
    if (next.size == 1) continue;
    if (!strides.empty() && strides.back().step == next.size * next.step) {
      strides.back() = {strides.back().size * next.size, next.step};
    } else {
      strides.push_back(next);
    }
  }
  if (strides.empty()) strides.push_back({});
  return strides;
}

class TransposeStep : public Step {
 public:
  TransposeStep(const Model& model, const Node& node,
                const Execution& execution, const Binding& binding)
      : executor_(execution.executor),
        x_(static_cast<const float*>(binding.inputs[0])),
        y_(binding.output),
        width_(model.value(node.output).ElementCount()),
        outer_(Strides(model.value(node.inputs[0]).shape,
                       ListAttribute(node, "order"))) {
    inner_ = outer_.back();
    outer_.pop_back();
  }

  void Run(size_t m, const Call&) override {
    const size_t runs = width_ / inner_.size;
    ParallelFor(executor_, m * runs,
                (kElementsPerTask + inner_.size - 1) / inner_.size,
                [&](size_t begin, size_t end) {
                  for (size_t i = begin; i < end; ++i) {
                    CopyRun(x_ + i / runs * width_ + PlaceOf(i % runs),
                            y_ + i * inner_.size);
                  }
                });
  }

 private:
  // Where a run of the output's last elements begins in the input.
  size_t PlaceOf(size_t run) const {
    size_t place = 0;
    for (size_t i = outer_.size(); i-- > 0;) {
      place += run % outer_[i].size * outer_[i].step;
      run /= outer_[i].size;
    }
    return place;
  }

  void CopyRun(const float* x, float* y) const {
    if (inner_.step == 1) {
      std::memcpy(y, x, inner_.size * sizeof(float));
      return;
    }
    for (size_t i = 0; i < inner_.size; ++i) y[i] = x[i * inner_.step];
  }

  Executor* executor_;
  const float* x_;
  float* y_;
  size_t width_;
  std::vector<Stride> outer_;
  Stride inner_;
};

// Dimension i of the output is dimension order[i] of the input.
class Transpose : public Operator {
 public:
  Transpose()
      : Operator({.name = "transpose",
                  .attributes = {{.name = "order",
                                  .kind = AttributeKind::kList,
                                  .high = 7}}}) {}

  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      Span<const ValueInfo* const> inputs) const override {
    CheckFloatInput(model, node, *inputs[0]);
    const std::vector<int64_t>& shape = inputs[0]->shape;
    const std::vector<int64_t> order = ListAttribute(node, "order");
    std::vector<int64_t> sorted = order;
    std::sort(sorted.begin(), sorted.end());
    bool each_once = order.size() == shape.size();
    for (size_t i = 0; each_once && i < sorted.size(); ++i) {
      each_once = sorted[i] == static_cast<int64_t>(i);
    }
    if (!each_once) {
      throw NodeError(model, node,
                      TextOf("its 'order' does not name each dimension of '",
                             inputs[0]->name, "' of shape ",
                             ShapeToString(shape), " once"));
    }
    std::vector<int64_t> result;
    for (const int64_t dim : order) {
      result.push_back(shape[static_cast<size_t>(dim)]);
    }
    return result;
  }

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution& execution,
                             const Binding& binding) const override {
    return std::make_unique<TransposeStep>(model, node, execution, binding);
  }
};

}  // namespace

const Operator& TransposeOperator() {
  static const Transpose op;
  return op;
}

}  // namespace lutra
