#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "lutra/kernels/vector_ops.h"
#include "runtime/base/aligned_memory.h"
#include "runtime/ops/cells.h"
#include "runtime/ops/matrix_product.h"
#include "runtime/ops/operators.h"

namespace lutra {
namespace {

constexpr size_t kLstmGates = 4;

// Whether the output of a row is h, then c.
bool HasBoth(const Node& node) {
  return WordAttribute(node, "output") == "both";
}

// What is in front of the scratch of the product, for up to `m` sequences:
// gates, and outputs of the tokens before.
size_t GateBytes(size_t units, size_t m) {
  return RoundUpToAlignment(m * kLstmGates * units * sizeof(float));
}
size_t OutputBytes(size_t units, size_t m) {
  return RoundUpToAlignment(m * units * sizeof(float));
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
      : model_(model),
        node_(node),
        rows_(node),
        units_(CellUnits(model, node)),
        width_(HasBoth(node) ? 2 * units_ : units_),
        execution_(execution),
        product_(model, node, execution, binding.m,
                 static_cast<std::byte*>(binding.scratch) +
                     GateBytes(units_, binding.m) +
                     OutputBytes(units_, binding.m)),
        x_(static_cast<const float*>(binding.inputs[0])),
        y_(binding.output),
        gates_(static_cast<float*>(binding.scratch)),
        before_(gates_ + GateBytes(units_, binding.m) / sizeof(float)),
        state_offset_(binding.state_offset) {
    const std::string order = WordAttribute(node, "gates");
    input_ = order.find('i') * units_;
    forget_ = order.find('f') * units_;
    cell_ = order.find_first_of("gc") * units_;
    output_ = order.find('o') * units_;
  }

  // Token by token, all sequences side by side: weights are so read once for
  // all of them.
  void Run(size_t, const Call& call) override {
    CheckWhole(model_, node_, rows_, call);
    for (const SequenceRows& rows : call.sequences) Begin(rows);
    const size_t longest = CellRows::Longest(call);
    for (size_t t = 0; t < longest; ++t) {
      execution_.CheckCancelled();
      RunTokens(call, t);
    }
    for (const SequenceRows& rows : call.sequences) {
      const float* last = y_ + rows_.Row(rows, rows.count - 1) * width_;
      std::copy(last, last + units_, State(rows));
    }
  }

  StepCost Cost(size_t m, const Call& call) const override {
    const size_t longest = CellRows::Longest(call);
    return {.bytes = longest * product_.Cost(1).bytes,
            .multiply_adds = product_.Cost(m).multiply_adds};
  }

 private:
  // h [units], then c [units], after the call.
  float* State(const SequenceRows& rows) const {
    return reinterpret_cast<float*>(rows.new_state + state_offset_);
  }

  void Begin(const SequenceRows& rows) const {
    float* state = State(rows);
    if (rows.position == 0) {
      std::fill(state, state + 2 * units_, 0.0f);
    } else {
      const auto* old_state =
          reinterpret_cast<const float*>(rows.old_state + state_offset_);
      std::copy(old_state, old_state + 2 * units_, state);
    }
  }

  // Token t of the call, of all sequences that have one.
  void RunTokens(const Call& call, size_t t) const {
    size_t count = 0;
    for (const SequenceRows& rows : call.sequences) {
      if (t >= rows.count) continue;
      const float* h =
          t == 0 ? State(rows) : y_ + rows_.Row(rows, t - 1) * width_;
      std::copy(h, h + units_, before_ + count++ * units_);
    }
    product_.Run(before_, count, gates_);
    float* gates = gates_;
    for (const SequenceRows& rows : call.sequences) {
      if (t >= rows.count) continue;
      const size_t row = rows_.Row(rows, t);
      RunCell(x_ + row * kLstmGates * units_, gates, State(rows) + units_,
              y_ + row * width_);
      gates += kLstmGates * units_;
    }
  }

  void RunCell(const float* x, float* gates, float* c, float* y) const {
    for (size_t i = 0; i < kLstmGates * units_; ++i) gates[i] += x[i];
    for (const size_t gate : {input_, forget_, output_}) {
      kernels::Apply(kernels::Function::kSigmoid, gates + gate, units_,
                     gates + gate);
    }
    kernels::Apply(kernels::Function::kTanh, gates + cell_, units_,
                   gates + cell_);
    for (size_t i = 0; i < units_; ++i) {
      c[i] = gates[forget_ + i] * c[i] + gates[input_ + i] * gates[cell_ + i];
    }
    kernels::Apply(kernels::Function::kTanh, c, units_, y);
    for (size_t i = 0; i < units_; ++i) y[i] *= gates[output_ + i];
    if (width_ > units_) std::copy(c, c + units_, y + units_);
  }

  const Model& model_;
  const Node& node_;
  CellRows rows_;
  size_t units_;
  size_t width_;  // of the output of a row
  Execution execution_;
  MatrixProduct product_;
  const float* x_;  // [m, 4 * units]
  float* y_;        // [m, width]
  float* gates_;    // [sequences, 4 * units]
  float* before_;   // [sequences, units]
  size_t state_offset_;
  // Where the gates begin in a row of them.
  size_t input_;
  size_t forget_;
  size_t cell_;
  size_t output_;
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
                  .attributes = Attributes()}) {}

  static std::vector<AttributeSchema> Attributes() {
    std::vector<AttributeSchema> attributes = InputAttributes();
    attributes.push_back(CellDirection());
    attributes.push_back({.name = "gates",
                          .kind = AttributeKind::kText,
                          .words = "the letters of 'ifgo' in some order",
                          .accepts = IsGateOrder});
    attributes.push_back({.name = "output",
                          .kind = AttributeKind::kWord,
                          .required = false,
                          .words = "hidden both"});
    return attributes;
  }

  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      Span<const ValueInfo* const> inputs) const override {
    CheckCell(model, node, *inputs[0], kLstmGates);
    const auto units = static_cast<int64_t>(CellUnits(model, node));
    return {units * (HasBoth(node) ? 2 : 1)};
  }

  size_t StateBytes(const Model& model, const Node& node) const override {
    return 2 * CellUnits(model, node) * sizeof(float);
  }

  size_t ScratchBytes(const Model& model, const Node& node,
                      const Execution& execution, size_t m) const override {
    const size_t units = CellUnits(model, node);
    return GateBytes(units, m) + OutputBytes(units, m) +
           MatrixProduct::ScratchBytes(model, node, execution, m);
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
