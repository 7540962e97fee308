#include <cmath>

#include "qat/grad/gradients.h"
#include "qat/grad/sum.h"

namespace lutra::qat {
namespace {

enum class Norm { kRms, kLayer };

// With h = (x - mean) / deviation (the mean is 0 for kRms) and g = dy * weight:
//   dx = (g - mean(g) - h * mean(g * h)) / deviation  (kRms: without mean(g))
//   dweight = the sum over rows of dy * h, dbias = that of dy
template <Norm kNorm>
class NormStep : public BackwardStep {
 public:
  NormStep(const Model& model, const Node& node, const Execution& execution,
           const BackwardBinding& binding)
      : binding_(binding),
        executor_(execution.executor),
        x_(Floats(binding.inputs[0])),
        weight_(Tensor32(model, node.weight)),
        eps_(static_cast<float>(NumberAttribute(node, "eps"))),
        moments_(static_cast<Moments*>(binding.scratch)) {
    columns_ = model.file().Get(node.weight).ElementCount();
    rows_ = model.value(node.output).ElementCount() / columns_;
  }

  struct Moments {
    float mean;
    float inverse;  // of the deviation
  };

  void Run(size_t m, const Call&) override {
    const size_t rows = m * rows_;
    ParallelFor(executor_, rows, RowTile(columns_),
                [this](size_t begin, size_t end) {
                  for (size_t row = begin; row < end; ++row) Row(row);
                });
    if (binding_.weight_gradient != nullptr) AddWeightGradient(rows);
    if (binding_.bias_gradient != nullptr) {
      AddColumnSums(executor_, binding_.output_gradient, rows, columns_,
                    binding_.bias_gradient);
    }
  }

 private:
  Moments MomentsOf(const float* x) const {
    const auto n = static_cast<float>(columns_);
    Moments moments{};
    if constexpr (kNorm == Norm::kLayer) {
      moments.mean = Sum(columns_, [=](size_t i) { return x[i]; }) / n;
    }
    const float mean = moments.mean;
    const float variance = Sum(columns_,
                               [=](size_t i) {
                                 const float c = x[i] - mean;
                                 return c * c;
                               }) /
                           n;
    moments.inverse = 1.0f / std::sqrt(variance + eps_);
    return moments;
  }

  void Row(size_t row) const {
    const float* x = x_ + row * columns_;
    const float* dy = binding_.output_gradient + row * columns_;
    const Moments moments = MomentsOf(x);
    moments_[row] = moments;
    const GradientTarget& target = binding_.input_gradients[0];
    if (target.values == nullptr) return;
    const float mean = moments.mean;
    const float inverse = moments.inverse;
    const float* w = weight_;
    const auto n = static_cast<float>(columns_);
    float mean_g = 0.0f;
    if constexpr (kNorm == Norm::kLayer) {
      mean_g = Sum(columns_, [=](size_t i) { return dy[i] * w[i]; }) / n;
    }
    const auto hat = [=](size_t i) { return (x[i] - mean) * inverse; };
    const float mean_gh =
        Sum(columns_, [=](size_t i) { return dy[i] * w[i] * hat(i); }) / n;
    float* dx = target.values + row * columns_;
    for (size_t i = 0; i < columns_; ++i) {
      const float d = inverse * (dy[i] * w[i] - mean_g - hat(i) * mean_gh);
      dx[i] = target.accumulate ? dx[i] + d : d;
    }
  }

  // Threads share columns, so that the order of a sum is that of the rows.
  void AddWeightGradient(size_t rows) const {
    constexpr size_t kColumnTile = 64;
    ParallelFor(executor_, columns_, kColumnTile,
                [&](size_t begin, size_t end) {
                  float* sum = binding_.weight_gradient;
                  for (size_t row = 0; row < rows; ++row) {
                    const float* x = x_ + row * columns_;
                    const float* dy = binding_.output_gradient + row * columns_;
                    const auto [mean, inverse] = moments_[row];
                    for (size_t i = begin; i < end; ++i) {
                      sum[i] += dy[i] * ((x[i] - mean) * inverse);
                    }
                  }
                });
  }

  BackwardBinding binding_;
  Executor* executor_;
  const float* x_;
  const float* weight_;
  float eps_;
  Moments* moments_;  // of each normalized row
  size_t rows_ = 0;   // that are normalized in a row of the call
  size_t columns_ = 0;
};

template <Norm kNorm>
class NormGradient : public OperatorGradient {
 public:
  bool NeedsInputs() const override { return true; }

  size_t ScratchBytes(const Model& model, const Node& node, const Execution&,
                      const BackwardCapacity& capacity) const override {
    const size_t rows = model.value(node.output).ElementCount() /
                        model.file().Get(node.weight).ElementCount();
    return capacity.rows * rows * sizeof(typename NormStep<kNorm>::Moments);
  }

  std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution& execution,
      const BackwardBinding& binding) const override {
    return std::make_unique<NormStep<kNorm>>(model, node, execution, binding);
  }
};

}  // namespace

const OperatorGradient& RmsNormGradient() {
  static const NormGradient<Norm::kRms> gradient;
  return gradient;
}

const OperatorGradient& LayerNormGradient() {
  static const NormGradient<Norm::kLayer> gradient;
  return gradient;
}

}  // namespace lutra::qat
