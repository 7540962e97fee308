#include <memory>
#include <string>

#include "lutra/runtime/rope_angles.h"
#include "lutra/runtime/shared_data.h"
#include "qat/grad/gradients.h"

namespace lutra::qat {
namespace {

// A rotation's gradient is turned back by its angle. The cosines and sines
// have the scale in them.
class RopeStep : public BackwardStep {
 public:
  RopeStep(const Model& model, const Node& node, const Execution& execution,
           const BackwardBinding& binding)
      : executor_(execution.executor),
        dy_(binding.output_gradient),
        dx_(binding.input_gradients[0]),
        pairs_(model.file().Get(node.weight).ElementCount()),
        head_dim_(CountAttribute(node, "head_dim")),
        row_size_(model.value(node.output).ElementCount()),
        adjacent_(WordAttribute(node, "pairing") == "adjacent"),
        angles_(AnglesOf(model, node, *execution.shared)) {
    angles_->Prepare(binding.capacity.rows);
  }

  void Run(size_t m, const Call& call) override {
    if (dx_.values == nullptr) return;
    angles_->Update(call);
    ParallelFor(executor_, m, RowTile(row_size_),
                [this](size_t begin, size_t end) {
                  for (size_t row = begin; row < end; ++row) Row(row);
                });
  }

 private:
  void Row(size_t row) const {
    const float* cosines = angles_->Cosines(row);
    const float* sines = angles_->Sines(row);
    const size_t end = (row + 1) * row_size_;
    const size_t step = adjacent_ ? 2 : 1;
    const size_t partner = adjacent_ ? 1 : pairs_;
    for (size_t head = row * row_size_; head < end; head += head_dim_) {
      const float* dy = dy_ + head;
      float* dx = dx_.values + head;
      for (size_t i = 0; i < pairs_; ++i) {
        const float a = dy[i * step];
        const float b = dy[i * step + partner];
        Put(a * cosines[i] + b * sines[i], dx[i * step]);
        Put(b * cosines[i] - a * sines[i], dx[i * step + partner]);
      }
      for (size_t i = 2 * pairs_; i < head_dim_; ++i) Put(dy[i], dx[i]);
    }
  }

  void Put(float value, float& target) const {
    target = dx_.accumulate ? target + value : value;
  }

  Executor* executor_;
  const float* dy_;
  GradientTarget dx_;
  size_t pairs_;
  size_t head_dim_;
  size_t row_size_;
  bool adjacent_;
  std::shared_ptr<RopeAngles> angles_;
};

class Rope : public OperatorGradient {
 public:
  bool TrainsWeight() const override { return false; }
  std::unique_ptr<BackwardStep> Bind(
      const Model& model, const Node& node, const Execution& execution,
      const BackwardBinding& binding) const override {
    return std::make_unique<RopeStep>(model, node, execution, binding);
  }
};

}  // namespace

const OperatorGradient& RopeGradient() {
  static const Rope gradient;
  return gradient;
}

}  // namespace lutra::qat
