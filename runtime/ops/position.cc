// Operators that look a token's place in its sequence up in a table.

#include <algorithm>
#include <string>

#include "runtime/base/text_of.h"
#include "runtime/ops/operators.h"
#include "runtime/ops/weight.h"

namespace lutra {
namespace {

// The table [P, K] of a position_embedding.
const TensorView& Table(const Model& model, const Node& node) {
  return model.file().Get(node.weight);
}

class PositionEmbeddingStep : public Step {
 public:
  PositionEmbeddingStep(const Model& model, const Node& node,
                        const Binding& binding)
      : model_(model),
        node_(node),
        table_(Table(model, node).Floats(model.path()).data()),
        rows_(static_cast<size_t>(Table(model, node).shape[0])),
        width_(model.value(node.output).ElementCount()),
        x_(static_cast<const float*>(binding.inputs[0])),
        y_(binding.output) {}

  void Run(size_t m, const Call& call) override {
    for (size_t row = 0; row < m; ++row) {
      const size_t position = call.rows[row].position;
      if (position >= rows_) {
        throw NodeError(
            model_, node_,
            TextOf("there are ", rows_,
                   " learned positions, and a token is at ", position),
            ErrorCode::kContextFull);
      }
      const float* __restrict x = x_ + row * width_;
      const float* __restrict added = table_ + position * width_;
      float* __restrict y = y_ + row * width_;
      for (size_t i = 0; i < width_; ++i) y[i] = x[i] + added[i];
    }
  }

 private:
  const Model& model_;
  const Node& node_;
  const float* table_;
  size_t rows_;
  size_t width_;
  const float* x_;
  float* y_;
};

// Learned positions, as in Gehring et al., "Convolutional Sequence to Sequence
// Learning", 2017.
class PositionEmbedding : public Operator {
 public:
  PositionEmbedding()
      : Operator({.name = "position_embedding",
                  .weight = TensorUse::kRequired,
                  .context = RowContext::kPosition}) {}

  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      Span<const ValueInfo* const> inputs) const override {
    CheckFloatInput(model, node, *inputs[0], 1);
    const TensorView& table = Table(model, node);
    if (table.dtype != DType::kFloat32 || table.shape.size() != 2 ||
        table.shape[0] < 1 || table.shape[1] != inputs[0]->shape[0]) {
      throw Error::InTensor(
          model.path(), node.weight,
          TextOf("is ", Name(table.dtype), " ", ShapeToString(table.shape),
                 ", but positions are F32, rows of ", inputs[0]->shape[0]));
    }
    table.Floats(model.path());
    return inputs[0]->shape;
  }

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution&,
                             const Binding& binding) const override {
    return std::make_unique<PositionEmbeddingStep>(model, node, binding);
  }
};

class PositionScaleStep : public Step {
 public:
  PositionScaleStep(const Model& model, const Node& node,
                    const Binding& binding)
      : table_(model.file().Get(node.weight).Floats(model.path())),
        period_(CountAttribute(node, "period")),
        width_(model.value(node.output).ElementCount()),
        x_(static_cast<const float*>(binding.inputs[0])),
        y_(binding.output) {}

  void Run(size_t m, const Call& call) override {
    for (size_t row = 0; row < m; ++row) {
      const size_t place = call.rows[row].position / period_;
      const float factor = table_[std::min(place, table_.size() - 1)];
      const float* __restrict x = x_ + row * width_;
      float* __restrict y = y_ + row * width_;
      for (size_t i = 0; i < width_; ++i) y[i] = x[i] * factor;
    }
  }

 private:
  std::span<const float> table_;
  size_t period_;
  size_t width_;
  const float* x_;
  float* y_;
};

// Queries that grow with the length of the text, as Llama 4's and Ministral
// 3's.
class PositionScale : public Operator {
 public:
  PositionScale()
      : Operator({.name = "position_scale",
                  .weight = TensorUse::kRequired,
                  .context = RowContext::kPosition,
                  .attributes = {{.name = "period",
                                  .kind = AttributeKind::kCount,
                                  .low = 1,
                                  .high = 1u << 31}}}) {}

  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      Span<const ValueInfo* const> inputs) const override {
    CheckFloatInput(model, node, *inputs[0]);
    const TensorView& table = model.file().Get(node.weight);
    if (table.dtype != DType::kFloat32 || table.shape.size() != 1 ||
        table.shape[0] < 1) {
      throw Error::InTensor(
          model.path(), node.weight,
          TextOf("is ", Name(table.dtype), " ", ShapeToString(table.shape),
                 ", but factors are an F32 vector"));
    }
    table.Floats(model.path());
    return inputs[0]->shape;
  }

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution&,
                             const Binding& binding) const override {
    return std::make_unique<PositionScaleStep>(model, node, binding);
  }
};

}  // namespace

const Operator& PositionEmbeddingOperator() {
  static const PositionEmbedding op;
  return op;
}

const Operator& PositionScaleOperator() {
  static const PositionScale op;
  return op;
}

}  // namespace lutra
