#include <cstring>
#include <string>

#include "runtime/base/text_of.h"
#include "runtime/ops/operators.h"

namespace lutra {
namespace {

class SliceStep : public Step {
 public:
  SliceStep(const Binding& binding, size_t width, size_t begin, size_t length)
      : x_(static_cast<const float*>(binding.inputs[0]) + begin),
        y_(binding.output),
        width_(width),
        length_(length) {}

  void Run(size_t m, const Call&) override {
    for (size_t row = 0; row < m; ++row) {
      std::memcpy(y_ + row * length_, x_ + row * width_,
                  length_ * sizeof(float));
    }
  }

 private:
  const float* x_;
  float* y_;
  size_t width_;
  size_t length_;
};

// Elements [begin, begin + length) of a vector.
class Slice : public Operator {
 public:
  Slice()
      : Operator({.name = "slice",
                  .attributes = {{.name = "begin",
                                  .kind = AttributeKind::kCount,
                                  .required = false,
                                  .high = 1u << 31},
                                 {.name = "length",
                                  .kind = AttributeKind::kCount,
                                  .low = 1,
                                  .high = 1u << 31}}}) {}

  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      Span<const ValueInfo* const> inputs) const override {
    CheckFloatInput(model, node, *inputs[0], 1);
    const size_t begin = CountAttribute(node, "begin");
    const size_t length = CountAttribute(node, "length");
    const size_t width = inputs[0]->ElementCount();
    if (begin > width || length > width - begin) {
      throw NodeError(model, node,
                      TextOf(length, " elements from ", begin,
                             " on are not all in the input '", inputs[0]->name,
                             "' of shape ", ShapeToString(inputs[0]->shape)));
    }
    return {static_cast<int64_t>(length)};
  }

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution&,
                             const Binding& binding) const override {
    return std::make_unique<SliceStep>(
        binding, model.value(node.inputs[0]).ElementCount(),
        CountAttribute(node, "begin"), CountAttribute(node, "length"));
  }
};

}  // namespace

const Operator& SliceOperator() {
  static const Slice op;
  return op;
}

}  // namespace lutra
