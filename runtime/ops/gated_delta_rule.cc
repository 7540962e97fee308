#include "runtime/ops/gated_delta_rule.h"

#include <algorithm>
#include <string>

#include "kernels/base/parallel.h"
#include "lutra/kernels/vector_ops.h"
#include "lutra/runtime/softplus.h"
#include "runtime/base/text_of.h"
#include "runtime/ops/operators.h"
#include "runtime/ops/weight.h"

namespace lutra {

void GatedDeltaRule(const float* __restrict q, const float* __restrict k,
                    const float* __restrict v, float decay, float beta,
                    size_t dk, size_t dv, float* __restrict s,
                    float* __restrict u, float* __restrict y) {
  std::fill(u, u + dv, 0.0f);
  for (size_t i = 0; i < dk; ++i) {
    float* __restrict row = s + i * dv;
    for (size_t j = 0; j < dv; ++j) {
      row[j] *= decay;
      u[j] += k[i] * row[j];
    }
  }
  for (size_t j = 0; j < dv; ++j) u[j] = (v[j] - u[j]) * beta;
  std::fill(y, y + dv, 0.0f);
  for (size_t i = 0; i < dk; ++i) {
    float* __restrict row = s + i * dv;
    for (size_t j = 0; j < dv; ++j) {
      row[j] += k[i] * u[j];
      y[j] += q[i] * row[j];
    }
  }
}

namespace {

struct Sizes {
  size_t heads;      // of values
  size_t key_heads;  // divides heads
  size_t dk;
  size_t dv;
};

Sizes SizesOf(const Model& model, const Node& node) {
  Sizes sizes = {};
  sizes.heads = CountAttribute(node, "heads");
  sizes.key_heads = CountAttribute(node, "key_heads");
  sizes.dk = model.value(node.inputs[0]).ElementCount() / sizes.key_heads;
  sizes.dv = model.value(node.inputs[2]).ElementCount() / sizes.heads;
  return sizes;
}

class GatedDeltaRuleStep : public Step {
 public:
  GatedDeltaRuleStep(const Model& model, const Node& node,
                     const Execution& execution, const Binding& binding)
      : execution_(execution),
        sizes_(SizesOf(model, node)),
        rates_(model.file().Get(node.weight).Floats(model.path()).data()),
        y_(binding.output),
        scratch_(static_cast<float*>(binding.scratch)),
        state_offset_(binding.state_offset) {
    for (size_t i = 0; i < 5; ++i) {
      inputs_[i] = static_cast<const float*>(binding.inputs[i]);
    }
  }

  // Heads are independent of each other.
  void Run(size_t, const Call& call) override {
    ParallelFor(execution_.executor, sizes_.heads, 1,
                [&](size_t begin, size_t end) {
                  for (size_t head = begin; head < end; ++head) {
                    for (const SequenceRows& rows : call.sequences) {
                      execution_.CheckCancelled();
                      Head(rows, head);
                    }
                  }
                });
  }

  StepCost Cost(size_t m, const Call& call) const override {
    const size_t state = sizes_.heads * sizes_.dk * sizes_.dv;
    return {.bytes = 2 * call.sequences.size() * state * sizeof(float),
            .multiply_adds = 3 * m * state};
  }

 private:
  void Head(const SequenceRows& rows, size_t head) const {
    const size_t size = sizes_.dk * sizes_.dv;
    const auto at = [&](std::byte* state) {
      return reinterpret_cast<float*>(state + state_offset_) + head * size;
    };
    float* const s = at(rows.new_state);
    if (rows.position == 0) {
      std::fill(s, s + size, 0.0f);
    } else {
      const float* const old = at(const_cast<std::byte*>(rows.old_state));
      std::copy(old, old + size, s);
    }
    const size_t key_head = head / (sizes_.heads / sizes_.key_heads);
    for (size_t row = rows.first; row < rows.first + rows.count; ++row) {
      const size_t key = (row * sizes_.key_heads + key_head) * sizes_.dk;
      const size_t value = row * sizes_.heads + head;
      float decay = -rates_[head] * Softplus(inputs_[3][value]);
      kernels::Apply(kernels::Function::kExp, &decay, 1, &decay);
      GatedDeltaRule(inputs_[0] + key, inputs_[1] + key,
                     inputs_[2] + value * sizes_.dv, decay, inputs_[4][value],
                     sizes_.dk, sizes_.dv, s, scratch_ + head * sizes_.dv,
                     y_ + value * sizes_.dv);
    }
  }

  Execution execution_;
  Sizes sizes_;
  const float* rates_;  // [heads]
  // q, k [m, key_heads, dk], v [m, heads, dv], a, beta [m, heads]
  const float* inputs_[5];
  float* y_;        // [m, heads, dv]
  float* scratch_;  // [heads, dv]
  size_t state_offset_;
};

class GatedDelta : public Operator {
 public:
  GatedDelta()
      : Operator({.name = "gated_delta_rule",
                  .inputs = 5,
                  .weight = TensorUse::kRequired,
                  .context = RowContext::kState,
                  .attributes = {RequiredCount("heads"),
                                 RequiredCount("key_heads")}}) {}

  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      Span<const ValueInfo* const> inputs) const override {
    for (const ValueInfo* input : inputs) {
      CheckFloatInput(model, node, *input, 1);
    }
    const size_t heads = CountAttribute(node, "heads");
    const size_t key_heads = CountAttribute(node, "key_heads");
    const auto width = [&](size_t i) {
      return static_cast<size_t>(inputs[i]->shape[0]);
    };
    if (heads % key_heads != 0 || width(0) % key_heads != 0 ||
        width(1) != width(0) || width(2) % heads != 0 || width(3) != heads ||
        width(4) != heads) {
      std::string shapes;
      for (const ValueInfo* input : inputs) {
        shapes += (shapes.empty() ? "" : ", ") + ShapeToString(input->shape);
      }
      throw NodeError(model, node,
                      TextOf("inputs of shapes ", shapes, " do not fit ", heads,
                             " heads and ", key_heads, " heads of keys"));
    }
    GetVector(model, node.weight, heads, "rates of decay");
    return inputs[2]->shape;
  }

  size_t StateBytes(const Model& model, const Node& node) const override {
    const Sizes sizes = SizesOf(model, node);
    return MemorySize({sizes.heads, sizes.dk, sizes.dv, sizeof(float)},
                      "the state of a gated delta rule");
  }

  size_t ScratchBytes(const Model& model, const Node& node, const Execution&,
                      size_t) const override {
    const Sizes sizes = SizesOf(model, node);
    return sizes.heads * sizes.dv * sizeof(float);
  }

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution& execution,
                             const Binding& binding) const override {
    return std::make_unique<GatedDeltaRuleStep>(model, node, execution,
                                                binding);
  }
};

}  // namespace

const Operator& GatedDeltaRuleOperator() {
  static const GatedDelta op;
  return op;
}

}  // namespace lutra
