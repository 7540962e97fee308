#include <cstring>
#include <string>

#include "kernels/base/checked_math.h"
#include "runtime/base/text_of.h"
#include "runtime/ops/operators.h"

namespace lutra {
namespace {

class CopyStep : public Step {
 public:
  CopyStep(const Binding& binding, size_t row_bytes)
      : x_(binding.inputs[0]), y_(binding.output), row_bytes_(row_bytes) {}

  void Run(size_t m, const Call&) override {
    std::memcpy(y_, x_, m * row_bytes_);
  }

 private:
  const void* x_;
  float* y_;
  size_t row_bytes_;
};

class Reshape : public Operator {
 public:
  Reshape()
      : Operator({.name = "reshape",
                  .attributes = {{.name = "shape",
                                  .kind = AttributeKind::kList,
                                  .low = 1,
                                  .high = 1u << 31}}}) {}

  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      Span<const ValueInfo* const> inputs) const override {
    CheckFloatInput(model, node, *inputs[0]);
    std::vector<int64_t> shape = ListAttribute(node, "shape");
    const auto count = CheckedElementCount(shape);
    if (!count || *count != inputs[0]->ElementCount()) {
      throw NodeError(
          model, node,
          TextOf("shape ", ShapeToString(shape),
                 " has other elements than the input '", inputs[0]->name,
                 "' of shape ", ShapeToString(inputs[0]->shape)));
    }
    return shape;
  }

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution&,
                             const Binding& binding) const override {
    return std::make_unique<CopyStep>(
        binding, model.value(node.output).ElementCount() * sizeof(float));
  }
};

}  // namespace

const Operator& ReshapeOperator() {
  static const Reshape op;
  return op;
}

}  // namespace lutra
