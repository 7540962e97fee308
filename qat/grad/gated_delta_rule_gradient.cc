#include <algorithm>

#include "lutra/kernels/vector_ops.h"
#include "lutra/runtime/softplus.h"
#include "qat/grad/gradients.h"
#include "qat/grad/sum.h"

namespace lutra::qat {
namespace {

// Of a token, with D = decay * S before it, r = k^T D, u = (v - r) * beta,
// S' = D + k u^T and y = S'^T q, and the gradient G of what comes after with
// respect to S':
//   G += q dy^T,  dq = S' dy
//   du = G^T k,  dv = beta du,  dbeta = du (v - r),  dr = -beta du
//   dk = G u + D dr,  dD = G + k dr^T
//   ddecay = the sum of dD * S,  G of the token before = decay * dD
// and decay = exp(-rate * softplus(a)):
//   da = -ddecay * decay * rate * sigmoid(a),
//   drate = -ddecay * decay * softplus(a)
// States are computed anew, forward, and kept for all tokens of a sequence.
class GatedDeltaRuleStep : public BackwardStep {
 public:
  struct Sizes {
    Sizes(const Model& model, const Node& node)
        : heads(CountAttribute(node, "heads")),
          key_heads(CountAttribute(node, "key_heads")),
          dk(model.value(node.inputs[0]).ElementCount() / key_heads),
          dv(model.value(node.inputs[2]).ElementCount() / heads) {}
    // Floats that one head of keys works in: states S before each token and
    // after the last, G, and u, r and dr.
    size_t SlotFloats(size_t longest) const {
      return (longest + 2) * dk * dv + 3 * dv;
    }
    size_t heads;
    size_t key_heads;
    size_t dk;
    size_t dv;
  };

  GatedDeltaRuleStep(const Model& model, const Node& node,
                     const Execution& execution, const BackwardBinding& binding)
      : binding_(binding),
        executor_(execution.executor),
        sizes_(model, node),
        rates_(Tensor32(model, node.weight)) {}

  // A task is a head of keys with all heads of values that use it: no two write
  // to the same place.
  void Run(size_t, const Call& call) override {
    ParallelFor(executor_, sizes_.key_heads, 1, [&](size_t begin, size_t end) {
      const size_t shared = sizes_.heads / sizes_.key_heads;
      for (size_t key_head = begin; key_head < end; ++key_head) {
        for (const SequenceRows& rows : call.sequences) {
          Clear(0, rows, key_head);
          Clear(1, rows, key_head);
          for (size_t i = 0; i < shared; ++i) {
            Head(rows, key_head, key_head * shared + i);
          }
        }
      }
    });
  }

 private:
  const float* Input(size_t i, size_t at) const {
    return Floats(binding_.inputs[i]) + at;
  }
  // nullptr if not wanted.
  float* Target(size_t i, size_t at) const {
    float* values = binding_.input_gradients[i].values;
    return values == nullptr ? nullptr : values + at;
  }
  void Put(size_t i, size_t at, float value) const {
    float* target = Target(i, at);
    if (target == nullptr) return;
    *target = binding_.input_gradients[i].accumulate ? *target + value : value;
  }

  // Of queries or keys, which several heads of values share.
  void Clear(size_t input, const SequenceRows& rows, size_t key_head) const {
    if (binding_.input_gradients[input].accumulate) return;
    for (size_t row = rows.first; row < rows.first + rows.count; ++row) {
      float* target =
          Target(input, (row * sizes_.key_heads + key_head) * sizes_.dk);
      if (target != nullptr) std::fill(target, target + sizes_.dk, 0.0f);
    }
  }

  static float Decay(float rate, float a) {
    float decay = -rate * Softplus(a);
    kernels::Apply(kernels::Function::kExp, &decay, 1, &decay);
    return decay;
  }

  // u, and r where it begins.
  void Read(const float* k, const float* v, const float* s, float decay,
            float beta, float* r, float* u) const {
    const size_t dk = sizes_.dk;
    const size_t dv = sizes_.dv;
    std::fill(r, r + dv, 0.0f);
    for (size_t i = 0; i < dk; ++i) {
      for (size_t j = 0; j < dv; ++j) r[j] += k[i] * (s[i * dv + j] * decay);
    }
    for (size_t j = 0; j < dv; ++j) u[j] = (v[j] - r[j]) * beta;
  }

  void Head(const SequenceRows& rows, size_t key_head, size_t head) const {
    const size_t heads = sizes_.heads;
    const size_t key_heads = sizes_.key_heads;
    const size_t dk = sizes_.dk;
    const size_t dv = sizes_.dv;
    const size_t size = dk * dv;
    float* states = static_cast<float*>(binding_.scratch) +
                    key_head * sizes_.SlotFloats(binding_.capacity.longest);
    float* g = states + (binding_.capacity.longest + 1) * size;
    float* u = g + size;
    float* r = u + dv;
    float* dr = r + dv;
    std::fill(states, states + size, 0.0f);
    std::fill(g, g + size, 0.0f);
    const auto key_at = [&](size_t row) {
      return (row * key_heads + key_head) * dk;
    };
    const auto value_at = [&](size_t row) { return row * heads + head; };
    const float rate = rates_[head];
    for (size_t t = 0; t < rows.count; ++t) {
      const size_t row = rows.first + t;
      const float* k = Input(1, key_at(row));
      const float* s = states + t * size;
      float* next = states + (t + 1) * size;
      const float decay = Decay(rate, *Input(3, value_at(row)));
      Read(k, Input(2, value_at(row) * dv), s, decay, *Input(4, value_at(row)),
           r, u);
      for (size_t i = 0; i < dk; ++i) {
        for (size_t j = 0; j < dv; ++j) {
          next[i * dv + j] = s[i * dv + j] * decay + k[i] * u[j];
        }
      }
    }
    for (size_t t = rows.count; t-- > 0;) {
      const size_t row = rows.first + t;
      const size_t value = value_at(row);
      const float* q = Input(0, key_at(row));
      const float* k = Input(1, key_at(row));
      const float* v = Input(2, value * dv);
      const float a = *Input(3, value);
      const float beta = *Input(4, value);
      const float* dy = binding_.output_gradient + value * dv;
      const float* s = states + t * size;
      const float* next = s + size;
      const float decay = Decay(rate, a);
      Read(k, v, s, decay, beta, r, u);
      float* dq = Target(0, key_at(row));
      float* dkey = Target(1, key_at(row));
      for (size_t i = 0; i < dk; ++i) {
        for (size_t j = 0; j < dv; ++j) g[i * dv + j] += q[i] * dy[j];
        if (dq == nullptr) continue;
        dq[i] += Sum(dv, [&](size_t j) { return next[i * dv + j] * dy[j]; });
      }
      float dbeta = 0.0f;
      for (size_t j = 0; j < dv; ++j) {
        const float du =
            Sum(dk, [&](size_t i) { return g[i * dv + j] * k[i]; });
        Put(2, value * dv + j, beta * du);
        dbeta += du * (v[j] - r[j]);
        dr[j] = -beta * du;
      }
      Put(4, value, dbeta);
      float ddecay = 0.0f;
      for (size_t i = 0; i < dk; ++i) {
        float* gi = g + i * dv;
        const float* si = s + i * dv;
        if (dkey != nullptr) {
          dkey[i] += Sum(dv, [&](size_t j) {
            return gi[j] * u[j] + si[j] * decay * dr[j];
          });
        }
        for (size_t j = 0; j < dv; ++j) gi[j] += k[i] * dr[j];
        ddecay += Sum(dv, [&](size_t j) { return gi[j] * si[j]; });
        for (size_t j = 0; j < dv; ++j) gi[j] *= decay;
      }
      float sigmoid = a;
      kernels::Apply(kernels::Function::kSigmoid, &sigmoid, 1, &sigmoid);
      Put(3, value, -ddecay * decay * rate * sigmoid);
      if (binding_.weight_gradient != nullptr) {
        binding_.weight_gradient[head] -= ddecay * decay * Softplus(a);
      }
    }
  }

  BackwardBinding binding_;
  Executor* executor_;
  Sizes sizes_;
  const float* rates_;
};

class GatedDeltaRule : public OperatorGradient {
 public:
  bool NeedsInputs() const override { return true; }
  size_t ScratchBytes(const Model& model, const Node& node, const Execution&,
                      const BackwardCapacity& capacity) const override {
    const GatedDeltaRuleStep::Sizes sizes(model, node);
    return sizes.key_heads * sizes.SlotFloats(capacity.longest) * sizeof(float);
  }
  std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution& execution,
      const BackwardBinding& binding) const override {
    return std::make_unique<GatedDeltaRuleStep>(model, node, execution,
                                                binding);
  }
};

}  // namespace

const OperatorGradient& GatedDeltaRuleGradient() {
  static const GatedDeltaRule gradient;
  return gradient;
}

}  // namespace lutra::qat
