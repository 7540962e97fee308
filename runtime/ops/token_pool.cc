#include "runtime/ops/token_pool.h"

#include <algorithm>

#include "runtime/ops/operators.h"

namespace lutra {
namespace {

class TokenPoolStep : public Step {
 public:
  TokenPoolStep(const Model& model, const Node& node, const Binding& binding)
      : mean_(WordAttribute(node, "over") == "mean"),
        width_(model.value(node.output).ElementCount()),
        x_(static_cast<const float*>(binding.inputs[0])),
        y_(binding.output),
        state_offset_(binding.state_offset) {}

  void Run(size_t, const Call& call) override {
    for (const SequenceRows& rows : call.sequences) Sequence(rows);
  }

 private:
  void Sequence(const SequenceRows& rows) const {
    float* __restrict state =
        reinterpret_cast<float*>(rows.new_state + state_offset_);
    if (rows.position > 0) {
      const auto* old =
          reinterpret_cast<const float*>(rows.old_state + state_offset_);
      std::copy(old, old + width_, state);
    }
    for (size_t i = 0; i < rows.count; ++i) {
      const size_t row = rows.first + i;
      const size_t position = rows.position + i;
      const float* __restrict x = x_ + row * width_;
      float* __restrict y = y_ + row * width_;
      if (position == 0) {
        std::copy(x, x + width_, state);
      } else if (mean_) {
        for (size_t j = 0; j < width_; ++j) state[j] += x[j];
      }
      const float factor =
          mean_ ? 1.0f / static_cast<float>(position + 1) : 1.0f;
      for (size_t j = 0; j < width_; ++j) y[j] = state[j] * factor;
    }
  }

  bool mean_;
  size_t width_;
  const float* x_;
  float* y_;
  size_t state_offset_;
};

// What encoders make one vector of a text with: the output of its last token is
// that of the text.
class TokenPool : public Operator {
 public:
  TokenPool()
      : Operator({.name = "token_pool",
                  .context = RowContext::kState,
                  .attributes = {{.name = "over",
                                  .kind = AttributeKind::kWord,
                                  .words = "mean first"}}}) {}

  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      Span<const ValueInfo* const> inputs) const override {
    CheckFloatInput(model, node, *inputs[0]);
    return inputs[0]->shape;
  }

  size_t StateBytes(const Model& model, const Node& node) const override {
    return model.value(node.output).ElementCount() * sizeof(float);
  }

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution&,
                             const Binding& binding) const override {
    return std::make_unique<TokenPoolStep>(model, node, binding);
  }
};

}  // namespace

void ReferenceTokenPool(std::span<const float> x, bool mean, size_t width,
                        float* y) {
  for (size_t i = 0; i < width; ++i) {
    float sum = 0.0f;
    for (size_t at = i; at < x.size(); at += width) {
      sum += x[at];
      const auto tokens = static_cast<float>(at / width + 1);
      y[at] = mean ? sum * (1.0f / tokens) : x[i];
    }
  }
}

const Operator& TokenPoolOperator() {
  static const TokenPool op;
  return op;
}

}  // namespace lutra
