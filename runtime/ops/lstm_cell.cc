#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "lutra/kernels/vector_ops.h"
#include "runtime/ops/matrix_product.h"
#include "runtime/ops/operators.h"

namespace lutra {
namespace {

constexpr size_t kGates = 4;
constexpr size_t kAlignment = 64;

size_t Units(const Model& model, const Node& node) {
  return model.value(node.output).ElementCount();
}

// Bytes of the gates of one token, in front of the scratch of the product.
size_t GateBytes(size_t units) {
  const size_t bytes = kGates * units * sizeof(float);
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

// 'c' is another name of 'g', the gate that makes a cell's new content.
bool IsGateOrder(std::string_view text) {
  std::string word(text);
  std::replace(word.begin(), word.end(), 'c', 'g');
  std::sort(word.begin(), word.end());
  return word == "fgio";
}

class LstmCellStep : public Step {
 public:
  LstmCellStep(const Model& model, const Node& node, const Execution& execution,
               const Binding& binding)
      : units_(Units(model, node)),
        execution_(execution),
        product_(model, node, execution,
                 static_cast<std::byte*>(binding.scratch) + GateBytes(units_)),
        x_(static_cast<const float*>(binding.inputs[0])),
        y_(binding.output),
        gates_(static_cast<float*>(binding.scratch)),
        state_offset_(binding.state_offset) {
    const std::string order = WordAttribute(node, "gates");
    input_ = gates_ + order.find('i') * units_;
    forget_ = gates_ + order.find('f') * units_;
    cell_ = gates_ + order.find_first_of("gc") * units_;
    output_ = gates_ + order.find('o') * units_;
  }

  void Run(size_t, const Call& call) override {
    for (const SequenceRows& rows : call.sequences) RunSequence(rows);
  }

  StepCost Cost(size_t m, const Call&) const override {
    return {.bytes = m * product_.Cost(1).bytes,
            .multiply_adds = product_.Cost(m).multiply_adds};
  }

 private:
  void RunSequence(const SequenceRows& rows) const {
    // A state is h [units], then c [units].
    float* state = reinterpret_cast<float*>(rows.new_state + state_offset_);
    if (rows.position == 0) {
      std::fill(state, state + 2 * units_, 0.0f);
    } else {
      const auto* old_state =
          reinterpret_cast<const float*>(rows.old_state + state_offset_);
      std::copy(old_state, old_state + 2 * units_, state);
    }
    const float* h = state;
    for (size_t row = rows.first; row < rows.first + rows.count; ++row) {
      execution_.CheckCancelled();
      float* y = y_ + row * units_;
      RunToken(h, x_ + row * kGates * units_, state + units_, y);
      h = y;
    }
    std::copy(h, h + units_, state);
  }

  void RunToken(const float* h, const float* x, float* c, float* y) const {
    product_.Run(h, 1, gates_);
    for (size_t i = 0; i < kGates * units_; ++i) gates_[i] += x[i];
    for (float* gate : {input_, forget_, output_}) {
      kernels::Apply(kernels::Function::kSigmoid, gate, units_, gate);
    }
    kernels::Apply(kernels::Function::kTanh, cell_, units_, cell_);
    for (size_t i = 0; i < units_; ++i) {
      c[i] = forget_[i] * c[i] + input_[i] * cell_[i];
    }
    kernels::Apply(kernels::Function::kTanh, c, units_, y);
    for (size_t i = 0; i < units_; ++i) y[i] *= output_[i];
  }

  size_t units_;
  Execution execution_;
  MatrixProduct product_;
  const float* x_;  // [m, 4 * units]
  float* y_;        // [m, units]
  float* gates_;    // [4 * units]
  size_t state_offset_;
  float* input_;
  float* forget_;
  float* cell_;
  float* output_;
};

// Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997, with the forget
// gate of Gers et al., 2000.
class LstmCell : public Operator {
 public:
  LstmCell()
      : Operator({.name = "lstm_cell",
                  .weight = TensorUse::kRequired,
                  .packable = true,
                  .context = RowContext::kState,
                  .attributes = {{.name = "gates",
                                  .kind = AttributeKind::kText,
                                  .words = "the letters of 'ifgo' in some "
                                           "order",
                                  .accepts = IsGateOrder}}}) {}

  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      Span<const ValueInfo* const> inputs) const override {
    CheckFloatInput(model, node, *inputs[0], 1);
    const Weight w = GetWeight(model, node.weight);
    if (w.n != uint64_t{w.k} * kGates || inputs[0]->shape[0] != int64_t{w.n}) {
      throw NodeError(model, node,
                      "input '" + inputs[0]->name + "' of shape " +
                          ShapeToString(inputs[0]->shape) + " and weight '" +
                          node.weight + "' of shape [" + std::to_string(w.n) +
                          ", " + std::to_string(w.k) +
                          "] are not [4H] and [4H, H]");
    }
    return {int64_t{w.k}};
  }

  size_t StateBytes(const Model& model, const Node& node) const override {
    return 2 * Units(model, node) * sizeof(float);
  }

  size_t ScratchBytes(const Model& model, const Node& node,
                      const Execution& execution, size_t) const override {
    return GateBytes(Units(model, node)) +
           MatrixProduct::ScratchBytes(model, node, execution, 1);
  }

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution& execution,
                             const Binding& binding) const override {
    return std::make_unique<LstmCellStep>(model, node, execution, binding);
  }
};

}  // namespace

const Operator& LstmCellOperator() {
  static const LstmCell op;
  return op;
}

}  // namespace lutra
