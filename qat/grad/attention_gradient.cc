#include <algorithm>
#include <cmath>

#include "lutra/kernels/vector_ops.h"
#include "qat/grad/gradients.h"
#include "qat/grad/matmul.h"
#include "qat/grad/sum.h"

namespace lutra::qat {
namespace {

// Queries whose scores are held at a time.
constexpr size_t kTileQueries = 64;

// With the probabilities p = softmax(scale * q k^T) of a query, and
// s[t] = p[t] * (dy v[t] - dy y):
//   dv[t] += p[t] * dy,  dq = scale * sum of s[t] * k[t],
//   dk[t] += scale * s[t] * q
// The probabilities are computed anew, tile by tile, instead of being kept
// (Dao et al., "FlashAttention", 2022).
class AttentionStep : public BackwardStep {
 public:
  AttentionStep(const Model& model, const Node& node,
                const Execution& execution, const BackwardBinding& binding)
      : binding_(binding),
        executor_(execution.executor),
        heads_(CountAttribute(node, "heads")),
        kv_heads_(CountAttribute(node, "kv_heads")),
        head_dim_(model.value(node.output).ElementCount() / heads_),
        window_(CountAttribute(node, "window")),
        scale_(static_cast<float>(NumberAttribute(node, "scale"))) {
    if (scale_ == 0.0f) {
      scale_ =
          static_cast<float>(1.0 / std::sqrt(static_cast<double>(head_dim_)));
    }
    slots_ = execution.Threads();
  }

  // Floats that one thread works in.
  static size_t SlotFloats(const BackwardCapacity& capacity) {
    return 2 * kTileQueries * capacity.longest;
  }

  void Run(size_t, const Call& call) override {
    // A task is a head of keys of a sequence, with all heads of queries that
    // use it: no two write to the same place.
    const size_t tasks = call.sequences.size() * kv_heads_;
    const size_t slots = std::min(slots_, tasks);
    ParallelFor(executor_, slots, 1, [&](size_t begin, size_t end) {
      for (size_t slot = begin; slot < end; ++slot) {
        for (size_t task = slot; task < tasks; task += slots) {
          RunHead(call.sequences[task / kv_heads_], task % kv_heads_, slot);
        }
      }
    });
  }

 private:
  // A head of [m, heads, head_dim], from a row on.
  const float* Head(const void* values, size_t row, size_t head,
                    size_t heads) const {
    return Floats(values) + (row * heads + head) * head_dim_;
  }
  float* Head(float* values, size_t row, size_t head, size_t heads) const {
    return values == nullptr ? nullptr
                             : values + (row * heads + head) * head_dim_;
  }

  void Clear(const GradientTarget& target, const SequenceRows& rows,
             size_t head) const {
    if (target.values == nullptr || target.accumulate) return;
    for (size_t i = 0; i < rows.count; ++i) {
      float* row = Head(target.values, rows.first + i, head, kv_heads_);
      std::fill(row, row + head_dim_, 0.0f);
    }
  }

  void RunHead(const SequenceRows& rows, size_t kv_head, size_t slot) const {
    Clear(binding_.input_gradients[1], rows, kv_head);
    Clear(binding_.input_gradients[2], rows, kv_head);
    const size_t shared = heads_ / kv_heads_;
    for (size_t i = 0; i < shared; ++i) {
      for (size_t q = 0; q < rows.count; q += kTileQueries) {
        RunTile(rows, kv_head * shared + i, kv_head, q,
                std::min(rows.count, q + kTileQueries), slot);
      }
    }
  }

  // Queries [begin, end) of the sequence.
  void RunTile(const SequenceRows& rows, size_t head, size_t kv_head,
               size_t begin, size_t end, size_t slot) const {
    const size_t first = FirstKey(begin);
    const size_t m = end - begin;
    const size_t n = end - first;
    const size_t q_stride = heads_ * head_dim_;
    const size_t k_stride = kv_heads_ * head_dim_;
    const size_t row = rows.first + begin;
    const float* q = Head(binding_.inputs[0], row, head, heads_);
    const float* k =
        Head(binding_.inputs[1], rows.first + first, kv_head, kv_heads_);
    const float* v =
        Head(binding_.inputs[2], rows.first + first, kv_head, kv_heads_);
    const float* y = Head(binding_.output, row, head, heads_);
    const float* dy = Head(binding_.output_gradient, row, head, heads_);
    float* p = static_cast<float*>(binding_.scratch) +
               slot * SlotFloats(binding_.capacity);
    float* s = p + m * n;
    MatMul({q, false, q_stride}, {k, true, k_stride}, m, n, head_dim_,
           /*accumulate=*/false, {p}, nullptr);
    MatMul({dy, false, q_stride}, {v, true, k_stride}, m, n, head_dim_,
           /*accumulate=*/false, {s}, nullptr);
    for (size_t i = 0; i < m; ++i) {
      Probabilities(begin + i, first, n, p + i * n);
      Scores(y + i * q_stride, dy + i * q_stride, n, p + i * n, s + i * n);
    }
    const auto& [dq, dk, dv] = Targets(rows, head, kv_head, begin, first);
    if (dv != nullptr) {
      MatMul({p, true}, {dy, false, q_stride}, n, head_dim_, m,
             /*accumulate=*/true, {dv, k_stride}, nullptr);
    }
    if (dq != nullptr) {
      MatMul({s}, {k, false, k_stride}, m, head_dim_, n,
             binding_.input_gradients[0].accumulate, {dq, q_stride}, nullptr);
    }
    if (dk != nullptr) {
      MatMul({s, true}, {q, false, q_stride}, n, head_dim_, m,
             /*accumulate=*/true, {dk, k_stride}, nullptr);
    }
  }

  struct Pointers {
    float* dq;
    float* dk;
    float* dv;
  };
  Pointers Targets(const SequenceRows& rows, size_t head, size_t kv_head,
                   size_t query, size_t key) const {
    const auto& targets = binding_.input_gradients;
    return {Head(targets[0].values, rows.first + query, head, heads_),
            Head(targets[1].values, rows.first + key, kv_head, kv_heads_),
            Head(targets[2].values, rows.first + key, kv_head, kv_heads_)};
  }

  // The first token that the query at `position` sees.
  size_t FirstKey(size_t position) const {
    return window_ != 0 && position >= window_ ? position + 1 - window_ : 0;
  }

  // Products of a query with keys [first, first + n) become probabilities, 0
  // for keys that it does not see.
  void Probabilities(size_t position, size_t first, size_t n, float* p) const {
    const size_t begin = FirstKey(position) - first;
    const size_t end = position + 1 - first;
    std::fill(p, p + begin, 0.0f);
    std::fill(p + end, p + n, 0.0f);
    for (size_t t = begin; t < end; ++t) p[t] *= scale_;
    kernels::SoftmaxRow(p + begin, end - begin, p + begin);
  }

  // s: products of dy with values, in place.
  void Scores(const float* y, const float* dy, size_t n, const float* p,
              float* s) const {
    const float dot = Sum(head_dim_, [=](size_t d) { return dy[d] * y[d]; });
    for (size_t t = 0; t < n; ++t) s[t] = p[t] * (s[t] - dot) * scale_;
  }

  BackwardBinding binding_;
  Executor* executor_;
  size_t heads_;
  size_t kv_heads_;
  size_t head_dim_;
  size_t window_;
  float scale_;
  size_t slots_ = 1;
};

class Attention : public OperatorGradient {
 public:
  bool NeedsInputs() const override { return true; }
  bool NeedsOutput() const override { return true; }

  size_t ScratchBytes(const Model&, const Node&, const Execution& execution,
                      const BackwardCapacity& capacity) const override {
    return execution.Threads() * AttentionStep::SlotFloats(capacity) *
           sizeof(float);
  }

  std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution& execution,
      const BackwardBinding& binding) const override {
    return std::make_unique<AttentionStep>(model, node, execution, binding);
  }
};

}  // namespace

const OperatorGradient& AttentionGradient() {
  static const Attention gradient;
  return gradient;
}

}  // namespace lutra::qat
