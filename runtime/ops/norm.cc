#include <string>
#include <utility>

#include "kernels/base/parallel.h"
#include "lutra/kernels/vector_ops.h"
#include "runtime/ops/operators.h"
#include "runtime/ops/weight.h"

namespace lutra {
namespace {

// Elements per piece of work, rounded up to whole rows.
constexpr size_t kElementsPerNorm = 8192;

enum class Norm { kRms, kLayer };

// The elements that are normalized together: as many as the weight has.
size_t ColumnsOf(const Model& model, const Node& node) {
  return model.file().Get(node.weight).ElementCount();
}

// A norm over each part of the last dimension that is as long as the weight,
// most often all of it.
template <Norm kNorm>
class NormOperator : public Operator {
 public:
  NormOperator(std::string name, TensorUse bias)
      : Operator({.name = std::move(name),
                  .weight = TensorUse::kRequired,
                  .bias = bias,
                  .attributes = {{.name = "eps",
                                  .kind = AttributeKind::kNumber,
                                  .low = 0,
                                  .high = 1}}}) {}

  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      Span<const ValueInfo* const> inputs) const override {
    CheckFloatInput(model, node, *inputs[0]);
    if (inputs[0]->shape.empty()) {
      throw NodeError(model, node, "its input is a scalar");
    }
    const auto width = static_cast<size_t>(inputs[0]->shape.back());
    size_t columns = ColumnsOf(model, node);
    // Of heads that are normalized each by itself.
    if (columns == 0 || width % columns != 0) columns = width;
    GetVector(model, node.weight, columns, "the weight of the norm");
    if (!node.bias.empty()) {
      GetVector(model, node.bias, columns, "the bias of the norm");
    }
    return inputs[0]->shape;
  }

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution& execution,
                             const Binding& binding) const override {
    return std::make_unique<NormStep>(model, node, binding, execution.executor);
  }

 private:
  class NormStep : public Step {
   public:
    NormStep(const Model& model, const Node& node, const Binding& binding,
             Executor* executor)
        : x_(static_cast<const float*>(binding.inputs[0])),
          weight_(model.file().Get(node.weight).Floats(model.path()).data()),
          bias_(node.bias.empty()
                    ? nullptr
                    : model.file().Get(node.bias).Floats(model.path()).data()),
          eps_(static_cast<float>(NumberAttribute(node, "eps"))),
          y_(binding.output),
          executor_(executor) {
      columns_ = ColumnsOf(model, node);
      rows_ = model.value(node.output).ElementCount() / columns_;
    }

    void Run(size_t m, const Call&) override {
      const size_t tile = (kElementsPerNorm + columns_ - 1) / columns_;
      ParallelFor(executor_, m * rows_, tile, [this](size_t begin, size_t end) {
        for (size_t row = begin; row < end; ++row) {
          const float* x = x_ + row * columns_;
          float* y = y_ + row * columns_;
          if constexpr (kNorm == Norm::kRms) {
            kernels::RmsNormRow(x, weight_, columns_, eps_, y);
          } else {
            kernels::LayerNormRow(x, weight_, bias_, columns_, eps_, y);
          }
        }
      });
    }

   private:
    const float* x_;
    const float* weight_;
    const float* bias_;
    float eps_;
    float* y_;
    size_t rows_ = 0;  // that are normalized in a row of the call
    size_t columns_ = 0;
    Executor* executor_;
  };
};

}  // namespace

const Operator& RmsNormOperator() {
  static const NormOperator<Norm::kRms> op("rms_norm", TensorUse::kNone);
  return op;
}

const Operator& LayerNormOperator() {
  static const NormOperator<Norm::kLayer> op("layer_norm",
                                             TensorUse::kOptional);
  return op;
}

}  // namespace lutra
