#include <algorithm>
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

constexpr size_t kGruGates = 3;

// What the step works in, each [rows, ...] unless it says something else.
struct GruScratch {
  GruScratch(const BackwardCapacity& capacity, size_t units, float* memory) {
    const auto take = [&](size_t count) {
      float* block = memory == nullptr ? nullptr : memory + floats;
      floats += count;
      return block;
    };
    const size_t values = capacity.rows * units;
    before = take(values);
    reset_before = take(values);
    gates = take(kGruGates * values);
    products = take(values);
    dproducts = take(kGruGates * values);
    dcandidates = take(values);
    const size_t others = capacity.sequences * units;
    now = take(kGruGates * others);
    back = take(others);
    dh = take(others);
  }

  float* before;        // [units], outputs of the row before, or zeros
  float* reset_before;  // [units], these times the reset gate
  float* gates;         // [3 * units], after their functions
  float* products;      // [units], what the reset gate scales, if it is "after"
  float* dproducts;     // [3 * units], of the weight's products
  float* dcandidates;   // [units], of the candidate before its function
  float* now;           // [sequences, 3 * units], dproducts of a row of each
  float* back;          // [sequences, units]
  float* dh;            // [sequences, units]
  size_t floats = 0;
};

// Backward through time. Gates of the forward pass are computed anew from its
// outputs, in products for all rows; back in time go all sequences side by
// side.
class GruStep : public BackwardStep {
 public:
  GruStep(const Model& model, const Node& node, const Execution& execution,
          const BackwardBinding& binding)
      : binding_(binding),
        executor_(execution.executor),
        weight_(Tensor32(model, node.weight)),
        bias_(node.bias.empty() ? nullptr : Tensor32(model, node.bias)),
        units_(CellUnits(model, node)),
        resets_before_(WordAttribute(node, "reset") == "before"),
        rows_(node),
        scratch_(binding.capacity, units_,
                 static_cast<float*>(binding.scratch)) {
    const auto rounding = FloatInput(node, execution);
    auto* const memory = static_cast<std::byte*>(binding.scratch) +
                         OwnBytes(binding.capacity, units_);
    const size_t bytes =
        RoundedRows::Bytes(rounding, binding.capacity.rows, units_);
    rounded_ =
        RoundedRows(rounding, binding.capacity.rows, units_, memory, executor_);
    rounded_reset_ = RoundedRows(rounding, binding.capacity.rows, units_,
                                 memory + RoundUp(bytes), executor_);
    const std::string order = WordAttribute(node, "gates");
    update_ = order.find('z') * units_;
    reset_ = order.find('r') * units_;
  }

  static size_t ScratchBytes(const Node& node, const Execution& execution,
                             const BackwardCapacity& capacity, size_t units) {
    const size_t rounded =
        RoundedRows::Bytes(FloatInput(node, execution), capacity.rows, units);
    return OwnBytes(capacity, units) + 2 * RoundUp(rounded);
  }

  void Run(size_t m, const Call& call) override {
    Recompute(m, call);
    std::fill_n(scratch_.dh, call.sequences.size() * units_, 0.0f);
    for (size_t t = CellRows::Longest(call); t-- > 0;) StepBack(t, call);
    GiveGradients(m);
  }

 private:
  static size_t RoundUp(size_t bytes) { return (bytes + 63) / 64 * 64; }
  static size_t OwnBytes(const BackwardCapacity& capacity, size_t units) {
    return RoundUp(GruScratch(capacity, units, nullptr).floats * sizeof(float));
  }

  size_t width() const { return kGruGates * units_; }

  // c [m, count of rows] += x [m, units] times rows of the weight.
  void AddProduct(const float* x, size_t m, size_t first, size_t rows,
                  float* c) const {
    MatMul({x}, {weight_ + first * units_, /*transposed=*/true}, m, rows,
           units_, /*accumulate=*/true, {c, width()}, executor_);
  }

  void Recompute(size_t m, const Call& call) {
    for (const SequenceRows& rows : call.sequences) {
      float* before = scratch_.before + rows.first * units_;
      const float* y = binding_.output + rows.first * units_;
      const size_t rest = (rows.count - 1) * units_;
      const bool backward = rows_.backward();
      std::fill_n(backward ? before + rest : before, units_, 0.0f);
      std::copy_n(backward ? y + units_ : y, rest,
                  backward ? before : before + units_);
    }
    before_ = rounded_.Round(scratch_.before, m);
    // The biases, then the products; what comes from outside is added below.
    for (size_t row = 0; row < m; ++row) {
      float* gates = scratch_.gates + row * width();
      if (bias_ == nullptr) {
        std::fill_n(gates, width(), 0.0f);
      } else {
        std::copy_n(bias_, width(), gates);
      }
    }
    const size_t parts = resets_before_ ? 2 : 3;
    AddProduct(before_, m, 0, parts * units_, scratch_.gates);
    ParallelFor(executor_, m, RowTile(width()), [&](size_t begin, size_t end) {
      for (size_t row = begin; row < end; ++row) OpenGates(row);
    });
    if (resets_before_) {
      reset_before_ = rounded_reset_.Round(scratch_.reset_before, m);
      AddProduct(reset_before_, m, 2 * units_, units_,
                 scratch_.gates + 2 * units_);
    }
    ParallelFor(executor_, m, RowTile(width()), [&](size_t begin, size_t end) {
      for (size_t row = begin; row < end; ++row) Candidate(row);
    });
  }

  void OpenGates(size_t row) const {
    const float* x = Floats(binding_.inputs[0]) + row * width();
    float* gates = scratch_.gates + row * width();
    for (size_t i = 0; i < 2 * units_; ++i) gates[i] += x[i];
    kernels::Apply(Function::kSigmoid, gates, 2 * units_, gates);
    const float* h = scratch_.before + row * units_;
    float* reset_before = scratch_.reset_before + row * units_;
    for (size_t i = 0; i < units_; ++i) {
      reset_before[i] = h[i] * gates[reset_ + i];
    }
  }

  void Candidate(size_t row) const {
    const float* x = Floats(binding_.inputs[0]) + row * width() + 2 * units_;
    const float* reset = scratch_.gates + row * width() + reset_;
    float* candidate = scratch_.gates + row * width() + 2 * units_;
    float* product = scratch_.products + row * units_;
    for (size_t i = 0; i < units_; ++i) {
      product[i] = candidate[i];
      candidate[i] =
          x[i] + (resets_before_ ? product[i] : reset[i] * product[i]);
    }
    kernels::Apply(Function::kTanh, candidate, units_, candidate);
  }

  // Calls use(row of step t, number of the sequence, i of those that have it).
  template <typename Use>
  void ForEachSequence(const Call& call, size_t t, const Use& use) const {
    size_t i = 0;
    for (size_t s = 0; s < call.sequences.size(); ++s) {
      const SequenceRows& rows = call.sequences[s];
      if (t >= rows.count) continue;
      use(rows_.Row(rows, t), s, i++);
    }
  }

  // Step t of all sequences that have one.
  void StepBack(size_t t, const Call& call) const {
    size_t count = 0;
    ForEachSequence(call, t, [&](size_t row, size_t s, size_t i) {
      RowBack(row, scratch_.dh + s * units_);
      std::copy_n(scratch_.dproducts + row * width() + 2 * units_, units_,
                  scratch_.now + i * units_);
      ++count;
    });
    if (resets_before_) {
      // Through the product with what was reset, to the gate and to h.
      MatMul({scratch_.now}, {weight_ + 2 * units_ * units_}, count, units_,
             units_, /*accumulate=*/false, {scratch_.back}, executor_);
      ForEachSequence(call, t, [&](size_t row, size_t s, size_t i) {
        ResetBack(row, scratch_.back + i * units_, scratch_.dh + s * units_);
      });
    }
    const size_t rows = (resets_before_ ? 2 : 3) * units_;
    ForEachSequence(call, t, [&](size_t row, size_t, size_t i) {
      std::copy_n(scratch_.dproducts + row * width(), rows,
                  scratch_.now + i * rows);
    });
    MatMul({scratch_.now}, {weight_}, count, units_, rows,
           /*accumulate=*/false, {scratch_.back}, executor_);
    ForEachSequence(call, t, [&](size_t row, size_t s, size_t i) {
      const float* back = scratch_.back + i * units_;
      float* dh = scratch_.dh + s * units_;
      for (size_t j = 0; j < units_; ++j) {
        if (rounded_.Passes(row, j)) dh[j] += back[j];
      }
    });
  }

  // `dh` comes from the next row, and becomes what goes on to the one before
  // past all products.
  void RowBack(size_t row, float* dh) const {
    const float* gates = scratch_.gates + row * width();
    const float* before = scratch_.before + row * units_;
    const float* product = scratch_.products + row * units_;
    const float* dy = binding_.output_gradient + row * units_;
    float* d = scratch_.dproducts + row * width();
    float* dcandidate = scratch_.dcandidates + row * units_;
    for (size_t j = 0; j < units_; ++j) {
      const float z = gates[update_ + j];
      const float r = gates[reset_ + j];
      const float n = gates[2 * units_ + j];
      const float h = dy[j] + dh[j];
      const float inner = h * (1.0f - z) * ((1.0f - n) * (1.0f + n));
      dcandidate[j] = inner;
      d[update_ + j] = h * (before[j] - n) * (z * (1.0f - z));
      d[2 * units_ + j] = resets_before_ ? inner : inner * r;
      // Before the product, it has yet to come.
      d[reset_ + j] =
          resets_before_ ? 0.0f : inner * product[j] * (r * (1.0f - r));
      dh[j] = h * z;
    }
  }

  // `back`: the gradient of h times the reset gate.
  void ResetBack(size_t row, const float* back, float* dh) const {
    const float* reset = scratch_.gates + row * width() + reset_;
    const float* before = scratch_.before + row * units_;
    float* d = scratch_.dproducts + row * width() + reset_;
    for (size_t j = 0; j < units_; ++j) {
      const float r = reset[j];
      const float given = rounded_reset_.Passes(row, j) ? back[j] : 0.0f;
      d[j] = given * before[j] * (r * (1.0f - r));
      dh[j] += given * r;
    }
  }

  void GiveGradients(size_t m) const {
    const GradientTarget& dx = binding_.input_gradients[0];
    if (dx.values != nullptr) {
      ForEachElement(executor_, m * width(), dx, [&](size_t i) {
        const size_t column = i % width();
        return column < 2 * units_ ? scratch_.dproducts[i]
                                   : scratch_.dcandidates[i / width() * units_ +
                                                          column - 2 * units_];
      });
    }
    if (float* const dw = binding_.weight_gradient; dw != nullptr) {
      const size_t rows = (resets_before_ ? 2 : 3) * units_;
      AddWeightGradient(m, 0, rows, before_, dw);
      if (resets_before_) {
        AddWeightGradient(m, rows, units_, reset_before_, dw);
      }
    }
    if (binding_.bias_gradient != nullptr) {
      AddColumnSums(executor_, scratch_.dproducts, m, width(),
                    binding_.bias_gradient);
    }
  }

  // Of `rows` rows of the weight from `first` on, which were multiplied by x.
  void AddWeightGradient(size_t m, size_t first, size_t rows, const float* x,
                         float* dweight) const {
    MatMul({scratch_.dproducts + first, /*transposed=*/true, width()}, {x},
           rows, units_, m, /*accumulate=*/true, {dweight + first * units_},
           executor_);
  }

  BackwardBinding binding_;
  Executor* executor_;
  const float* weight_;  // [3 * units, units]
  const float* bias_;    // [3 * units], or nullptr
  size_t units_;
  bool resets_before_;
  CellRows rows_;
  GruScratch scratch_;
  RoundedRows rounded_;
  RoundedRows rounded_reset_;
  // As they are multiplied.
  const float* before_ = nullptr;
  const float* reset_before_ = nullptr;
  // Where the gates begin in a row of them.
  size_t update_ = 0;
  size_t reset_ = 0;
};

class GruCell : public OperatorGradient {
 public:
  bool NeedsInputs() const override { return true; }
  bool NeedsOutput() const override { return true; }

  size_t ScratchBytes(const Model& model, const Node& node,
                      const Execution& execution,
                      const BackwardCapacity& capacity) const override {
    return GruStep::ScratchBytes(node, execution, capacity,
                                 CellUnits(model, node));
  }

  std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution& execution,
      const BackwardBinding& binding) const override {
    return std::make_unique<GruStep>(model, node, execution, binding);
  }
};

}  // namespace

const OperatorGradient& GruCellGradient() {
  static const GruCell gradient;
  return gradient;
}

}  // namespace lutra::qat
