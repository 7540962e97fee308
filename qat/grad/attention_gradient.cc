#include <algorithm>
#include <cmath>

#include "lutra/kernels/attention.h"
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
// A soft cap c, which makes c * tanh(z / c) of scores z, multiplies s[t] by
// 1 - tanh(z / c)^2. A sink takes part in the softmax and has no value: its
// gradient is minus the sum over queries of its probability times dy y.
// k and v are what the cache holds of keys and values; the gradients pass its
// rounding as if it were not there (Bengio et al., 2013, the straight-through
// estimator), and as it clips nothing, all of them do.
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
        both_directions_(WordAttribute(node, "direction") == "both"),
        soft_cap_(static_cast<float>(NumberAttribute(node, "soft_cap"))),
        sinks_(node.weight.empty() ? nullptr : Tensor32(model, node.weight)),
        scale_(static_cast<float>(NumberAttribute(node, "scale"))),
        cache_(execution.cache) {
    if (scale_ == 0.0f) {
      scale_ =
          static_cast<float>(1.0 / std::sqrt(static_cast<double>(head_dim_)));
    }
    slots_ = execution.Threads();
    k_ = Floats(binding.inputs[1]);
    v_ = Floats(binding.inputs[2]);
    if (cache_ != kernels::CacheType::kFloat32) {
      rounded_ = static_cast<float*>(binding.scratch) +
                 WorkFloats(slots_, binding.capacity, heads_);
      k_ = rounded_;
      v_ = rounded_ + binding.capacity.rows * kv_heads_ * head_dim_;
    }
  }

  // Floats that one thread works in: probabilities, gradients of scores, and
  // what a soft cap multiplies these by.
  static size_t SlotFloats(const BackwardCapacity& capacity) {
    return 3 * kTileQueries * capacity.longest;
  }
  // After those of all threads come gradients of sinks, for each sequence.
  static size_t WorkFloats(size_t threads, const BackwardCapacity& capacity,
                           size_t heads) {
    return threads * SlotFloats(capacity) + capacity.sequences * heads;
  }
  // And then rounded keys and values, rows of `kv_width` each.
  static size_t ScratchFloats(const Execution& execution,
                              const BackwardCapacity& capacity, size_t heads,
                              size_t kv_width) {
    const bool rounds = execution.cache != kernels::CacheType::kFloat32;
    return WorkFloats(execution.Threads(), capacity, heads) +
           (rounds ? 2 * capacity.rows * kv_width : 0);
  }

  void Run(size_t m, const Call& call) override {
    if (rounded_ != nullptr) RoundRows(m);
    // A task is a head of keys of a sequence, with all heads of queries that
    // use it: no two write to the same place.
    const size_t tasks = call.sequences.size() * kv_heads_;
    const size_t slots = std::min(slots_, tasks);
    ParallelFor(executor_, slots, 1, [&](size_t begin, size_t end) {
      for (size_t slot = begin; slot < end; ++slot) {
        for (size_t task = slot; task < tasks; task += slots) {
          RunHead(call.sequences[task / kv_heads_], task % kv_heads_, slot,
                  SinkGradients(task / kv_heads_));
        }
      }
    });
    if (sinks_ == nullptr || binding_.weight_gradient == nullptr) return;
    for (size_t i = 0; i < call.sequences.size(); ++i) {
      for (size_t head = 0; head < heads_; ++head) {
        binding_.weight_gradient[head] += SinkGradients(i)[head];
      }
    }
  }

 private:
  // Each head of keys and of values of a token by itself, as they are stored.
  void RoundRows(size_t m) const {
    const size_t width = kv_heads_ * head_dim_;
    ParallelFor(executor_, m, RowTile(width), [&](size_t begin, size_t end) {
      for (size_t head = begin * kv_heads_; head < end * kv_heads_; ++head) {
        for (const size_t input : {size_t{1}, size_t{2}}) {
          kernels::RoundToCache(
              cache_, head_dim_,
              Floats(binding_.inputs[input]) + head * head_dim_,
              rounded_ + (input - 1) * binding_.capacity.rows * width +
                  head * head_dim_);
        }
      }
    });
  }

  float* SinkGradients(size_t sequence) const {
    return static_cast<float*>(binding_.scratch) +
           slots_ * SlotFloats(binding_.capacity) + sequence * heads_;
  }

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

  void RunHead(const SequenceRows& rows, size_t kv_head, size_t slot,
               float* sink_gradients) const {
    Clear(binding_.input_gradients[1], rows, kv_head);
    Clear(binding_.input_gradients[2], rows, kv_head);
    const size_t shared = heads_ / kv_heads_;
    for (size_t i = 0; i < shared; ++i) {
      const size_t head = kv_head * shared + i;
      sink_gradients[head] = 0.0f;
      for (size_t q = 0; q < rows.count; q += kTileQueries) {
        sink_gradients[head] +=
            RunTile(rows, head, kv_head, q,
                    std::min(rows.count, q + kTileQueries), slot);
      }
    }
  }

  // Queries [begin, end) of the sequence. Returns the gradient of the sink.
  float RunTile(const SequenceRows& rows, size_t head, size_t kv_head,
                size_t begin, size_t end, size_t slot) const {
    const size_t first = FirstKey(begin);
    const size_t m = end - begin;
    const size_t n = EndKey(end - 1, rows.count) - first;
    const size_t q_stride = heads_ * head_dim_;
    const size_t k_stride = kv_heads_ * head_dim_;
    const size_t row = rows.first + begin;
    const float* q = Head(binding_.inputs[0], row, head, heads_);
    const float* k = Head(k_, rows.first + first, kv_head, kv_heads_);
    const float* v = Head(v_, rows.first + first, kv_head, kv_heads_);
    const float* y = Head(binding_.output, row, head, heads_);
    const float* dy = Head(binding_.output_gradient, row, head, heads_);
    float* p = static_cast<float*>(binding_.scratch) +
               slot * SlotFloats(binding_.capacity);
    float* s = p + m * n;
    float* slopes = s + m * n;
    float sink_gradient = 0.0f;
    MatMul({q, false, q_stride}, {k, true, k_stride}, m, n, head_dim_,
           /*accumulate=*/false, {p}, nullptr);
    MatMul({dy, false, q_stride}, {v, true, k_stride}, m, n, head_dim_,
           /*accumulate=*/false, {s}, nullptr);
    for (size_t i = 0; i < m; ++i) {
      const float of_sink = Probabilities(begin + i, rows.count, first, n, head,
                                          p + i * n, slopes + i * n);
      const float* out = y + i * q_stride;
      const float* d = dy + i * q_stride;
      const float dot = Sum(head_dim_, [=](size_t j) { return d[j] * out[j]; });
      Scores(dot, n, p + i * n, slopes + i * n, s + i * n);
      sink_gradient -= of_sink * dot;
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
    return sink_gradient;
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

  // One behind the last token of `count` that it sees.
  size_t EndKey(size_t position, size_t count) const {
    if (!both_directions_) return position + 1;
    return window_ != 0 ? std::min(position + window_, count) : count;
  }

  // Products of a query with keys [first, first + n) become probabilities, 0
  // for keys that it does not see; slopes, what a soft cap multiplies gradients
  // of scores by. Returns the probability of the sink.
  float Probabilities(size_t position, size_t tokens, size_t first, size_t n,
                      size_t head, float* p, float* slopes) const {
    const size_t begin = FirstKey(position) - first;
    const size_t end = EndKey(position, tokens) - first;
    std::fill(p, p + begin, 0.0f);
    std::fill(p + end, p + n, 0.0f);
    const size_t count = end - begin;
    float* seen = p + begin;
    for (size_t t = 0; t < count; ++t) seen[t] *= scale_;
    if (soft_cap_ != 0.0f) CapScores(count, seen, slopes + begin);
    if (sinks_ == nullptr) {
      kernels::SoftmaxRow(seen, count, seen);
      return 0.0f;
    }
    const float sink = sinks_[head];
    const float most = std::max(sink, *std::max_element(seen, seen + count));
    for (size_t t = 0; t < count; ++t) seen[t] -= most;
    kernels::Apply(kernels::Function::kExp, seen, count, seen);
    float of_sink = sink - most;
    kernels::Apply(kernels::Function::kExp, &of_sink, 1, &of_sink);
    const float inverse =
        1.0f / (of_sink + Sum(count, [=](size_t t) { return seen[t]; }));
    for (size_t t = 0; t < count; ++t) seen[t] *= inverse;
    return of_sink * inverse;
  }

  void CapScores(size_t n, float* scores, float* slopes) const {
    const float inverse = 1.0f / soft_cap_;
    for (size_t t = 0; t < n; ++t) scores[t] *= inverse;
    kernels::Apply(kernels::Function::kTanh, scores, n, scores);
    for (size_t t = 0; t < n; ++t) {
      slopes[t] = (1.0f - scores[t]) * (1.0f + scores[t]);
      scores[t] *= soft_cap_;
    }
  }

  // s: products of dy with values, in place; dot: that of dy with y. Where p is
  // 0, slopes mean nothing.
  void Scores(float dot, size_t n, const float* p, const float* slopes,
              float* s) const {
    for (size_t t = 0; t < n; ++t) s[t] = p[t] * (s[t] - dot) * scale_;
    if (soft_cap_ == 0.0f) return;
    for (size_t t = 0; t < n; ++t) {
      if (p[t] != 0.0f) s[t] *= slopes[t];
    }
  }

  BackwardBinding binding_;
  Executor* executor_;
  size_t heads_;
  size_t kv_heads_;
  size_t head_dim_;
  size_t window_;
  bool both_directions_;
  float soft_cap_;
  const float* sinks_;  // [heads], or nullptr
  float scale_;
  kernels::CacheType cache_;
  size_t slots_ = 1;
  float* rounded_ = nullptr;  // keys, then values; nullptr: they are as given
  const float* k_ = nullptr;  // what the cache holds
  const float* v_ = nullptr;
};

class Attention : public OperatorGradient {
 public:
  bool NeedsInputs() const override { return true; }
  bool NeedsOutput() const override { return true; }

  size_t ScratchBytes(const Model& model, const Node& node,
                      const Execution& execution,
                      const BackwardCapacity& capacity) const override {
    return AttentionStep::ScratchFloats(
               execution, capacity, CountAttribute(node, "heads"),
               model.value(node.inputs[1]).ElementCount()) *
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
