#include <algorithm>

#include "lutra/kernels/vector_ops.h"
#include "lutra/runtime/input_quantization.h"
#include "qat/grad/gradients.h"
#include "qat/grad/rounded_rows.h"
#include "qat/grad/sum.h"

namespace lutra::qat {
namespace {

// The numbers of the chosen experts have no gradient; their weights w = p * s
// have, with probabilities p of all experts or of the chosen ones and scales s:
//   ds = dw * p,  dlogits[e] = p[e] * (dw[e] * s[e] - sum over c of p * dw * s)
// where dw[e] is 0 for an expert that was not chosen.
class RouteStep : public BackwardStep {
 public:
  RouteStep(const Model& model, const Node& node,
            const BackwardBinding& binding)
      : binding_(binding),
        experts_(model.value(node.inputs[0]).ElementCount()),
        count_(CountAttribute(node, "count")),
        over_all_(WordAttribute(node, "over") == "all"),
        scales_(node.weight.empty() ? nullptr : Tensor32(model, node.weight)),
        p_(static_cast<float*>(binding.scratch)) {}

  void Run(size_t m, const Call&) override {
    for (size_t row = 0; row < m; ++row) Row(row);
  }

 private:
  void Row(size_t row) const {
    const float* logits = Floats(binding_.inputs[0]) + row * experts_;
    const float* numbers = binding_.output + row * 2 * count_;
    const float* dw = binding_.output_gradient + row * 2 * count_ + count_;
    const auto expert = [=](size_t i) {
      return static_cast<size_t>(numbers[i]);
    };
    const auto scale = [&](size_t i) {
      return scales_ == nullptr ? 1.0f : scales_[expert(i)];
    };
    Probabilities(logits, numbers);
    float dot = 0.0f;
    for (size_t i = 0; i < count_; ++i) {
      dot += p_[expert(i)] * dw[i] * scale(i);
      if (binding_.weight_gradient != nullptr) {
        binding_.weight_gradient[expert(i)] += dw[i] * p_[expert(i)];
      }
    }
    const GradientTarget& target = binding_.input_gradients[0];
    if (target.values == nullptr) return;
    float* dx = target.values + row * experts_;
    for (size_t e = 0; e < experts_; ++e) {
      const float d = -p_[e] * dot;
      dx[e] = target.accumulate ? dx[e] + d : d;
    }
    for (size_t i = 0; i < count_; ++i) {
      dx[expert(i)] += p_[expert(i)] * dw[i] * scale(i);
    }
  }

  // Of all experts, 0 for those that have none.
  void Probabilities(const float* logits, const float* numbers) const {
    if (over_all_) return kernels::SoftmaxRow(logits, experts_, p_);
    float* const chosen = p_ + experts_;
    for (size_t i = 0; i < count_; ++i) {
      chosen[i] = logits[static_cast<size_t>(numbers[i])];
    }
    kernels::SoftmaxRow(chosen, count_, chosen);
    std::fill(p_, p_ + experts_, 0.0f);
    for (size_t i = 0; i < count_; ++i) {
      p_[static_cast<size_t>(numbers[i])] = chosen[i];
    }
  }

  BackwardBinding binding_;
  size_t experts_;
  size_t count_;
  bool over_all_;
  const float* scales_;
  float* p_;  // [experts], then [count]
};

class Route : public OperatorGradient {
 public:
  bool NeedsInputs() const override { return true; }
  bool NeedsOutput() const override { return true; }
  size_t ScratchBytes(const Model& model, const Node& node, const Execution&,
                      const BackwardCapacity&) const override {
    return (model.value(node.inputs[0]).ElementCount() +
            CountAttribute(node, "count")) *
           sizeof(float);
  }
  std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution&,
      const BackwardBinding& binding) const override {
    return std::make_unique<RouteStep>(model, node, binding);
  }
};

// For each row and chosen expert e: dx += W_e^T dy, dW_e += dy x^T, db_e += dy.
class ExpertLinearStep : public BackwardStep {
 public:
  ExpertLinearStep(const Model& model, const Node& node,
                   const Execution& execution, const BackwardBinding& binding)
      : binding_(binding),
        executor_(execution.executor),
        experts_(CountAttribute(node, "experts")),
        count_(model.value(node.inputs[1]).ElementCount() / 2),
        n_(static_cast<size_t>(model.value(node.output).shape.back())),
        k_(static_cast<size_t>(model.value(node.inputs[0]).shape.back())),
        own_inputs_(model.value(node.inputs[0]).shape.size() == 2),
        weight_(Tensor32(model, node.weight)),
        rounded_(FloatInput(node, execution), InputRows(binding.capacity.rows),
                 k_, binding.scratch, executor_) {}

  void Run(size_t m, const Call&) override {
    ClearRoutes(m);
    x_ = rounded_.Round(Floats(binding_.inputs[0]), InputRows(m));
    if (binding_.input_gradients[0].values != nullptr) {
      ParallelFor(executor_, m, 1, [this](size_t begin, size_t end) {
        for (size_t row = begin; row < end; ++row) InputGradient(row);
      });
    }
    ParallelFor(executor_, experts_, 1, [&](size_t begin, size_t end) {
      for (size_t job = 0; job < m * count_; ++job) {
        const size_t expert = ExpertOf(job);
        if (expert >= begin && expert < end) AddWeightGradient(job, expert);
      }
    });
  }

 private:
  size_t ExpertOf(size_t job) const {
    const float* routes = Floats(binding_.inputs[1]);
    return static_cast<size_t>(
        routes[job / count_ * 2 * count_ + job % count_]);
  }
  size_t InputRow(size_t job) const { return own_inputs_ ? job : job / count_; }
  size_t InputRows(size_t m) const { return own_inputs_ ? m * count_ : m; }

  // The numbers of experts have none, and their weights are not used here.
  void ClearRoutes(size_t m) const {
    const GradientTarget& target = binding_.input_gradients[1];
    if (target.values == nullptr || target.accumulate) return;
    std::fill(target.values, target.values + m * 2 * count_, 0.0f);
  }

  void InputGradient(size_t row) const {
    const GradientTarget& target = binding_.input_gradients[0];
    for (size_t i = 0; i < count_; ++i) {
      const size_t job = row * count_ + i;
      const size_t input = InputRow(job);
      float* dx = target.values + input * k_;
      if (!target.accumulate && (own_inputs_ || i == 0)) {
        std::fill(dx, dx + k_, 0.0f);
      }
      const float* dy = binding_.output_gradient + job * n_;
      const float* w = weight_ + ExpertOf(job) * n_ * k_;
      for (size_t r = 0; r < n_; ++r) {
        for (size_t c = 0; c < k_; ++c) {
          if (rounded_.Passes(input, c)) dx[c] += dy[r] * w[r * k_ + c];
        }
      }
    }
  }

  void AddWeightGradient(size_t job, size_t expert) const {
    const float* dy = binding_.output_gradient + job * n_;
    const float* x = x_ + InputRow(job) * k_;
    if (binding_.weight_gradient != nullptr) {
      float* dw = binding_.weight_gradient + expert * n_ * k_;
      for (size_t r = 0; r < n_; ++r) {
        for (size_t c = 0; c < k_; ++c) dw[r * k_ + c] += dy[r] * x[c];
      }
    }
    if (binding_.bias_gradient != nullptr) {
      float* db = binding_.bias_gradient + expert * n_;
      for (size_t r = 0; r < n_; ++r) db[r] += dy[r];
    }
  }

  BackwardBinding binding_;
  Executor* executor_;
  size_t experts_;
  size_t count_;
  size_t n_;
  size_t k_;
  bool own_inputs_;
  const float* weight_;
  RoundedRows rounded_;
  const float* x_ = nullptr;  // as it is multiplied
};

class ExpertLinear : public OperatorGradient {
 public:
  bool NeedsInputs() const override { return true; }
  size_t ScratchBytes(const Model& model, const Node& node,
                      const Execution& execution,
                      const BackwardCapacity& capacity) const override {
    // Rows of the input, of several products each or of one.
    const std::vector<int64_t>& shape = model.value(node.inputs[0]).shape;
    const auto k = static_cast<size_t>(shape.back());
    const size_t rows = model.value(node.inputs[0]).ElementCount() / k;
    return RoundedRows::Bytes(FloatInput(node, execution), capacity.rows * rows,
                              k);
  }
  std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution& execution,
      const BackwardBinding& binding) const override {
    return std::make_unique<ExpertLinearStep>(model, node, execution, binding);
  }
};

// With y = sum of w * x: dx = w * dy, dw = dy x.
class ExpertSumStep : public BackwardStep {
 public:
  ExpertSumStep(const Model& model, const Node& node,
                const Execution& execution, const BackwardBinding& binding)
      : binding_(binding),
        executor_(execution.executor),
        count_(model.value(node.inputs[1]).ElementCount() / 2),
        width_(model.value(node.output).ElementCount()) {}

  void Run(size_t m, const Call&) override {
    const float* x = Floats(binding_.inputs[0]);
    const float* routes = Floats(binding_.inputs[1]);
    const float* dy = binding_.output_gradient;
    const GradientTarget& dx = binding_.input_gradients[0];
    if (dx.values != nullptr) {
      ForEachElement(executor_, m * count_ * width_, dx, [=, this](size_t i) {
        const size_t job = i / width_;
        const size_t row = job / count_;
        return routes[row * 2 * count_ + count_ + job % count_] *
               dy[row * width_ + i % width_];
      });
    }
    const GradientTarget& droutes = binding_.input_gradients[1];
    if (droutes.values == nullptr) return;
    ForEachElement(executor_, m * 2 * count_, droutes, [=, this](size_t i) {
      const size_t row = i / (2 * count_);
      const size_t place = i % (2 * count_);
      if (place < count_) return 0.0f;  // the number of an expert
      const float* of_expert = x + (row * count_ + place - count_) * width_;
      const float* d = dy + row * width_;
      return Sum(width_, [=](size_t j) { return d[j] * of_expert[j]; });
    });
  }

 private:
  BackwardBinding binding_;
  Executor* executor_;
  size_t count_;
  size_t width_;
};

class ExpertSum : public OperatorGradient {
 public:
  bool NeedsInputs() const override { return true; }
  std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution& execution,
      const BackwardBinding& binding) const override {
    return std::make_unique<ExpertSumStep>(model, node, execution, binding);
  }
};

}  // namespace

const OperatorGradient& RouteGradient() {
  static const Route gradient;
  return gradient;
}

const OperatorGradient& ExpertLinearGradient() {
  static const ExpertLinear gradient;
  return gradient;
}

const OperatorGradient& ExpertSumGradient() {
  static const ExpertSum gradient;
  return gradient;
}

}  // namespace lutra::qat
