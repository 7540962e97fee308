#include <algorithm>
#include <array>
#include <string>

#include "lutra/kernels/vector_ops.h"
#include "lutra/runtime/cell_rows.h"
#include "lutra/runtime/input_quantization.h"
#include "qat/grad/gradients.h"
#include "qat/grad/matmul.h"
#include "qat/grad/rounded_rows.h"

namespace lutra::qat {
namespace {

using kernels::Function;

constexpr size_t kLstmGates = 4;

// What the step works in, each [rows, ...] unless it says something else.
struct Scratch {
  Scratch(const BackwardCapacity& capacity, size_t units, float* memory) {
    const auto take = [&](size_t count) {
      float* block = memory == nullptr ? nullptr : memory + floats;
      floats += count;
      return block;
    };
    before = take(capacity.rows * units);
    gates = take(capacity.rows * kLstmGates * units);
    cells = take(capacity.rows * units);
    dgates = take(capacity.rows * kLstmGates * units);
    later = take(capacity.sequences * kLstmGates * units);
    dh = take(capacity.sequences * units);
    dc = take(capacity.sequences * units);
  }

  float* before;  // [units], outputs of the row before, or zeros
  float* gates;   // [4 * units], after their functions
  float* cells;   // [units]
  float* dgates;  // [4 * units], before their functions
  float* later;   // [sequences, 4 * units], dgates of the next row of each
  float* dh;      // [sequences, units]
  float* dc;      // [sequences, units]
  size_t floats = 0;
};

// Backward through time. The cells and gates of the forward pass are computed
// anew from its outputs, in one product for all rows; back in time go all
// sequences side by side.
class LstmStep : public BackwardStep {
 public:
  LstmStep(const Model& model, const Node& node, const Execution& execution,
           const BackwardBinding& binding)
      : binding_(binding),
        executor_(execution.executor),
        weight_(Tensor32(model, node.weight)),
        units_(CellUnits(model, node)),
        rows_(node),
        width_(model.value(node.output).ElementCount()),
        scratch_(binding.capacity, units_,
                 static_cast<float*>(binding.scratch)),
        rounded_(FloatInput(node, execution), binding.capacity.rows, units_,
                 static_cast<std::byte*>(binding.scratch) +
                     ScratchBytes(binding.capacity, units_),
                 executor_),
        before_(rounded_ ? rounded_.values() : scratch_.before) {
    const std::string order = WordAttribute(node, "gates");
    input_ = order.find('i') * units_;
    forget_ = order.find('f') * units_;
    cell_ = order.find_first_of("gc") * units_;
    output_ = order.find('o') * units_;
  }

  static size_t ScratchBytes(const BackwardCapacity& capacity, size_t units) {
    return Scratch(capacity, units, nullptr).floats * sizeof(float);
  }

  void Run(size_t m, const Call& call) override {
    Recompute(m, call);
    for (size_t t = CellRows::Longest(call); t-- > 0;) StepBack(t, call);
    const size_t width = kLstmGates * units_;
    const GradientTarget& dx = binding_.input_gradients[0];
    if (dx.values != nullptr) {
      ForEachElement(executor_, m * width, dx,
                     [d = scratch_.dgates](size_t i) { return d[i]; });
    }
    if (binding_.weight_gradient != nullptr) {
      MatMul({scratch_.dgates, /*transposed=*/true}, {before_}, width, units_,
             m, /*accumulate=*/true, {binding_.weight_gradient}, executor_);
    }
  }

 private:
  void Recompute(size_t m, const Call& call) const {
    const size_t width = kLstmGates * units_;
    for (const SequenceRows& rows : call.sequences) {
      for (size_t t = 0; t < rows.count; ++t) {
        float* before = scratch_.before + rows_.Row(rows, t) * units_;
        if (t == 0) {
          std::fill_n(before, units_, 0.0f);
        } else {
          std::copy_n(binding_.output + rows_.Row(rows, t - 1) * width_, units_,
                      before);
        }
      }
    }
    rounded_.Round(scratch_.before, m);
    std::copy_n(Floats(binding_.inputs[0]), m * width, scratch_.gates);
    MatMul({before_}, {weight_, /*transposed=*/true}, m, width, units_,
           /*accumulate=*/true, {scratch_.gates}, executor_);
    ParallelFor(executor_, m, RowTile(width), [&](size_t begin, size_t end) {
      for (size_t row = begin; row < end; ++row) {
        float* gates = scratch_.gates + row * width;
        for (const size_t gate : {input_, forget_, output_}) {
          kernels::Apply(Function::kSigmoid, gates + gate, units_,
                         gates + gate);
        }
        kernels::Apply(Function::kTanh, gates + cell_, units_, gates + cell_);
      }
    });
    for (const SequenceRows& rows : call.sequences) {
      for (size_t t = 0; t < rows.count; ++t) {
        const size_t row = rows_.Row(rows, t);
        const float* gates = scratch_.gates + row * width;
        float* c = scratch_.cells + row * units_;
        const float* const before =
            t == 0 ? c : scratch_.cells + rows_.Row(rows, t - 1) * units_;
        for (size_t i = 0; i < units_; ++i) {
          const float kept = t == 0 ? 0.0f : gates[forget_ + i] * before[i];
          c[i] = kept + gates[input_ + i] * gates[cell_ + i];
        }
      }
    }
  }

  // Step t of all sequences that have one.
  void StepBack(size_t t, const Call& call) const {
    const size_t width = kLstmGates * units_;
    // What comes from step t + 1, of the sequences that have one.
    size_t later = 0;
    for (const SequenceRows& rows : call.sequences) {
      if (t + 1 >= rows.count) continue;
      std::copy_n(scratch_.dgates + rows_.Row(rows, t + 1) * width, width,
                  scratch_.later + later++ * width);
    }
    if (later > 0) {
      MatMul({scratch_.later}, {weight_}, later, units_, width,
             /*accumulate=*/false, {scratch_.dh}, executor_);
    }
    const float* dh = scratch_.dh;
    for (size_t s = 0; s < call.sequences.size(); ++s) {
      const SequenceRows& rows = call.sequences[s];
      if (t >= rows.count) continue;
      const bool last = t + 1 == rows.count;
      const size_t row = rows_.Row(rows, t);
      const size_t next = last ? row : rows_.Row(rows, t + 1);
      const size_t before = t == 0 ? row : rows_.Row(rows, t - 1);
      RowBack(row, before, next, last ? nullptr : dh, scratch_.dc + s * units_);
      if (!last) dh += units_;
    }
  }

  // `dh` and `dc` come from the next row; nullptr, and nothing, in the last.
  // The first one is its own row before.
  void RowBack(size_t row, size_t row_before, size_t next, const float* dh,
               float* dc) const {
    const size_t width = kLstmGates * units_;
    const bool first = row == row_before;
    const float* gates = scratch_.gates + row * width;
    const float* c = scratch_.cells + row * units_;
    const float* const c_before = scratch_.cells + row_before * units_;
    const float* dy = binding_.output_gradient + row * width_;
    // Of c, if that is given out as well.
    const float* dy_cell = width_ > units_ ? dy + units_ : nullptr;
    float* d = scratch_.dgates + row * width;
    // tanh(c) waits where the gradient of the output gate goes.
    float* tanh_c = d + output_;
    kernels::Apply(Function::kTanh, c, units_, tanh_c);
    for (size_t j = 0; j < units_; ++j) {
      const float i = gates[input_ + j];
      const float f = gates[forget_ + j];
      const float g = gates[cell_ + j];
      const float o = gates[output_ + j];
      const float tanh = tanh_c[j];
      // What the next row read, unless it was clipped there.
      const float h =
          dh != nullptr && rounded_.Passes(next, j) ? dy[j] + dh[j] : dy[j];
      const float through = h * o * ((1.0f - tanh) * (1.0f + tanh));
      const float given = dy_cell == nullptr ? through : through + dy_cell[j];
      const float cell = dh == nullptr ? given : given + dc[j];
      const float before = first ? 0.0f : c_before[j];
      d[output_ + j] = h * tanh * (o * (1.0f - o));
      d[input_ + j] = cell * g * (i * (1.0f - i));
      d[cell_ + j] = cell * i * ((1.0f - g) * (1.0f + g));
      d[forget_ + j] = cell * before * (f * (1.0f - f));
      dc[j] = cell * f;
    }
  }

  BackwardBinding binding_;
  Executor* executor_;
  const float* weight_;  // [4 * units, units]
  size_t units_;
  CellRows rows_;
  size_t width_;  // of the output of a row
  Scratch scratch_;
  RoundedRows rounded_;
  const float* before_;  // as it is multiplied
  // Where the gates begin in a row of them.
  size_t input_;
  size_t forget_;
  size_t cell_;
  size_t output_;
};

class LstmCell : public OperatorGradient {
 public:
  bool NeedsInputs() const override { return true; }
  bool NeedsOutput() const override { return true; }

  size_t ScratchBytes(const Model& model, const Node& node,
                      const Execution& execution,
                      const BackwardCapacity& capacity) const override {
    const size_t units = CellUnits(model, node);
    return LstmStep::ScratchBytes(capacity, units) +
           RoundedRows::Bytes(FloatInput(node, execution), capacity.rows,
                              units);
  }

  std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution& execution,
      const BackwardBinding& binding) const override {
    return std::make_unique<LstmStep>(model, node, execution, binding);
  }
};

}  // namespace

const OperatorGradient& LstmCellGradient() {
  static const LstmCell gradient;
  return gradient;
}

}  // namespace lutra::qat
