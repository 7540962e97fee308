#include <cstring>
#include <string>
#include <vector>

#include "runtime/ops/operators.h"
#include "runtime/ops/weight.h"

namespace lutra {
namespace {

class ConstantStep : public Step {
 public:
  ConstantStep(const float* values, size_t width, float* output)
      : values_(values), width_(width), y_(output) {}

  void Run(size_t m, const Call&) override {
    for (size_t row = 0; row < m; ++row) {
      std::memcpy(y_ + row * width_, values_, width_ * sizeof(float));
    }
  }

 private:
  const float* values_;
  size_t width_;
  float* y_;
};

// A tensor as a value that is the same in every row.
class Constant : public Operator {
 public:
  Constant()
      : Operator(
            {.name = "constant", .inputs = 0, .weight = TensorUse::kRequired}) {
  }

  std::vector<int64_t> InferShape(const Model& model, const Node& node,
                                  Span<const ValueInfo* const>) const override {
    const TensorView& tensor = model.file().Get(node.weight);
    if (tensor.dtype != DType::kFloat32) {
      throw Error::InTensor(model.path(), node.weight, "is not float32");
    }
    return tensor.shape;
  }

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution&,
                             const Binding& binding) const override {
    return std::make_unique<ConstantStep>(
        model.file().Get(node.weight).Floats(model.path()).data(),
        model.value(node.output).ElementCount(), binding.output);
  }
};

}  // namespace

const Operator& ConstantOperator() {
  static const Constant op;
  return op;
}

}  // namespace lutra
