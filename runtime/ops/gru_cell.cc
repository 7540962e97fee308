#include <algorithm>
#include <string>

#include "lutra/kernels/lut_matrix.h"
#include "lutra/kernels/vector_ops.h"
#include "runtime/base/aligned_memory.h"
#include "runtime/ops/cells.h"
#include "runtime/ops/matrix_product.h"
#include "runtime/ops/operators.h"

namespace lutra {
namespace {

constexpr size_t kGruGates = 3;

bool ResetsBefore(const Node& node) {
  return WordAttribute(node, "reset") == "before";
}

// What is in front of the scratch of the product, for up to `m` sequences:
// outputs of the tokens before, gates, and what the reset state gives.
struct Parts {
  Parts(size_t units, size_t m) {
    const auto take = [this](size_t floats) {
      const size_t begin = bytes;
      bytes += RoundUpToAlignment(floats * sizeof(float));
      return begin;
    };
    before = take(m * units);
    gates = take(m * kGruGates * units);
    candidates = take(m * kGruGates * units);
  }

  size_t before;
  size_t gates;
  size_t candidates;
  size_t bytes = 0;
};

class GruCellStep : public Step {
 public:
  GruCellStep(const Model& model, const Node& node, const Execution& execution,
              const Binding& binding)
      : model_(model),
        node_(node),
        rows_(node),
        units_(CellUnits(model, node)),
        resets_before_(ResetsBefore(node)),
        execution_(execution),
        product_(model, node, execution, binding.m,
                 static_cast<std::byte*>(binding.scratch) +
                     Parts(units_, binding.m).bytes),
        x_(static_cast<const float*>(binding.inputs[0])),
        y_(binding.output),
        state_offset_(binding.state_offset) {
    const Parts parts(units_, binding.m);
    auto* const scratch = static_cast<std::byte*>(binding.scratch);
    before_ = reinterpret_cast<float*>(scratch + parts.before);
    gates_ = reinterpret_cast<float*>(scratch + parts.gates);
    candidates_ = reinterpret_cast<float*>(scratch + parts.candidates);
    const std::string order = WordAttribute(node, "gates");
    update_ = order.find('z') * units_;
    reset_ = order.find('r') * units_;
    // Packed rows are multiplied in blocks.
    in_parts_ = resets_before_ && (product_.weight().packed == nullptr ||
                                   units_ % kernels::kBlockRows == 0);
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
      const float* last = y_ + rows_.Row(rows, rows.count - 1) * units_;
      std::copy(last, last + units_, State(rows));
    }
  }

  StepCost Cost(size_t m, const Call& call) const override {
    const size_t longest = CellRows::Longest(call);
    const size_t times = resets_before_ && !in_parts_ ? 2 : 1;
    return {.bytes = times * longest * product_.Cost(1).bytes,
            .multiply_adds = times * product_.Cost(m).multiply_adds};
  }

 private:
  // h [units] after the call.
  float* State(const SequenceRows& rows) const {
    return reinterpret_cast<float*>(rows.new_state + state_offset_);
  }

  void Begin(const SequenceRows& rows) const {
    float* state = State(rows);
    if (rows.position == 0) {
      std::fill(state, state + units_, 0.0f);
    } else {
      const auto* old_state =
          reinterpret_cast<const float*>(rows.old_state + state_offset_);
      std::copy(old_state, old_state + units_, state);
    }
  }

  const float* Before(const SequenceRows& rows, size_t t) const {
    return t == 0 ? State(rows) : y_ + rows_.Row(rows, t - 1) * units_;
  }

  // Calls use(row of x and y, i of the sequences that have a token t, their h).
  template <typename Use>
  void ForEachSequence(const Call& call, size_t t, const Use& use) const {
    size_t i = 0;
    for (const SequenceRows& rows : call.sequences) {
      if (t < rows.count) use(rows_.Row(rows, t), i++, Before(rows, t));
    }
  }

  void RunTokens(const Call& call, size_t t) const {
    size_t count = 0;
    ForEachSequence(call, t, [&](size_t, size_t i, const float* h) {
      std::copy(h, h + units_, before_ + i * units_);
      ++count;
    });
    const size_t width = in_parts_ ? 2 * units_ : kGruGates * units_;
    if (in_parts_) {
      product_.RunRows(0, static_cast<uint32_t>(width), before_, count, gates_);
    } else {
      product_.Run(before_, count, gates_);
    }
    ForEachSequence(call, t, [&](size_t row, size_t i, const float*) {
      float* gates = gates_ + i * width;
      const float* x = x_ + row * kGruGates * units_;
      for (size_t j = 0; j < 2 * units_; ++j) gates[j] += x[j];
      kernels::Apply(kernels::Function::kSigmoid, gates, 2 * units_, gates);
      float* h = before_ + i * units_;
      const float* reset = gates + reset_;
      for (size_t j = 0; resets_before_ && j < units_; ++j) h[j] *= reset[j];
    });
    if (in_parts_) {
      product_.RunRows(static_cast<uint32_t>(2 * units_),
                       static_cast<uint32_t>(units_), before_, count,
                       candidates_);
    } else if (resets_before_) {
      product_.Run(before_, count, candidates_);
    }
    ForEachSequence(call, t, [&](size_t row, size_t i, const float* h) {
      RunCell(gates_ + i * width, Candidate(i), x_ + row * kGruGates * units_,
              h, y_ + row * units_);
    });
  }

  // What the weight's last rows give, of sequence i.
  const float* Candidate(size_t i) const {
    if (in_parts_) return candidates_ + i * units_;
    const float* all = resets_before_ ? candidates_ : gates_;
    return all + (i * kGruGates + 2) * units_;
  }

  // y overlaps neither h nor the gates.
  void RunCell(const float* gates, const float* candidate, const float* x,
               const float* h, float* y) const {
    const float* input = x + 2 * units_;
    const float* reset = gates + reset_;
    const float* update = gates + update_;
    for (size_t j = 0; j < units_; ++j) {
      const float kept =
          resets_before_ ? candidate[j] : reset[j] * candidate[j];
      y[j] = input[j] + kept;
    }
    kernels::Apply(kernels::Function::kTanh, y, units_, y);
    for (size_t j = 0; j < units_; ++j) {
      y[j] = (1.0f - update[j]) * y[j] + update[j] * h[j];
    }
  }

  const Model& model_;
  const Node& node_;
  CellRows rows_;
  size_t units_;
  bool resets_before_;
  Execution execution_;
  MatrixProduct product_;
  const float* x_;  // [m, 3 * units]
  float* y_;        // [m, units]
  size_t state_offset_;
  float* before_ = nullptr;  // [sequences, units]
  float* gates_ = nullptr;
  float* candidates_ = nullptr;
  size_t update_ = 0;  // where the gate begins in a row of gates
  size_t reset_ = 0;
  // Whether the rows of two gates and of the candidate are multiplied apart.
  bool in_parts_ = false;
};

// Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder",
// 2014; with the reset after the product, as cuDNN has it.
class GruCell : public Operator {
 public:
  GruCell()
      : Operator({.name = "gru_cell",
                  .weight = TensorUse::kRequired,
                  .bias = TensorUse::kOptional,
                  .packable = true,
                  .context = RowContext::kState,
                  .attributes = Attributes()}) {}

  static std::vector<AttributeSchema> Attributes() {
    std::vector<AttributeSchema> attributes = InputAttributes();
    attributes.push_back(CellDirection());
    attributes.push_back(
        {.name = "gates", .kind = AttributeKind::kWord, .words = "zrn rzn"});
    attributes.push_back({.name = "reset",
                          .kind = AttributeKind::kWord,
                          .words = "before after"});
    return attributes;
  }

  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      Span<const ValueInfo* const> inputs) const override {
    CheckCell(model, node, *inputs[0], kGruGates);
    GetBias(model, node, static_cast<uint32_t>(inputs[0]->shape[0]));
    return {static_cast<int64_t>(CellUnits(model, node))};
  }

  size_t StateBytes(const Model& model, const Node& node) const override {
    return CellUnits(model, node) * sizeof(float);
  }

  size_t ScratchBytes(const Model& model, const Node& node,
                      const Execution& execution, size_t m) const override {
    return Parts(CellUnits(model, node), m).bytes +
           MatrixProduct::ScratchBytes(model, node, execution, m);
  }

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution& execution,
                             const Binding& binding) const override {
    return std::make_unique<GruCellStep>(model, node, execution, binding);
  }
};

}  // namespace

const Operator& GruCellOperator() {
  static const GruCell op;
  return op;
}

}  // namespace lutra
