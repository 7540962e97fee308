#include "runtime/ops/rope.h"

#include <algorithm>
#include <string>

#include "kernels/base/parallel.h"
#include "lutra/runtime/rope_angles.h"
#include "lutra/runtime/shared_data.h"
#include "runtime/base/text_of.h"
#include "runtime/base/work_size.h"
#include "runtime/ops/operators.h"

namespace lutra {
namespace {

// Inverse frequencies of a rope node.
std::span<const float> Frequencies(const Model& model, const Node& node) {
  return model.file().Get(node.weight).Floats(model.path());
}

// Rotates the pairs of a head. Nothing overlaps, so that compilers can use
// vectors.
void RotateAdjacent(const float* __restrict x, const float* __restrict cosines,
                    const float* __restrict sines, size_t pairs,
                    float* __restrict y) {
  for (size_t i = 0; i < pairs; ++i) {
    const float a = x[2 * i];
    const float b = x[2 * i + 1];
    y[2 * i] = a * cosines[i] - b * sines[i];
    y[2 * i + 1] = b * cosines[i] + a * sines[i];
  }
}

void RotateHalves(const float* __restrict x, const float* __restrict cosines,
                  const float* __restrict sines, size_t pairs,
                  float* __restrict y) {
  for (size_t i = 0; i < pairs; ++i) {
    const float a = x[i];
    const float b = x[pairs + i];
    y[i] = a * cosines[i] - b * sines[i];
    y[pairs + i] = b * cosines[i] + a * sines[i];
  }
}

class RopeStep : public Step {
 public:
  RopeStep(const Model& model, const Node& node, const Execution& execution,
           const Binding& binding)
      : executor_(execution.executor),
        pairs_(Frequencies(model, node).size()),
        head_dim_(CountAttribute(node, "head_dim")),
        heads_(model.value(node.output).ElementCount() / head_dim_),
        adjacent_(WordAttribute(node, "pairing") == "adjacent"),
        x_(static_cast<const float*>(binding.inputs[0])),
        y_(binding.output) {
    angles_ = AnglesOf(model, node, *execution.shared);
    angles_->Prepare(binding.m);
  }

  void Run(size_t m, const Call& call) override {
    angles_->Update(call);
    const size_t row_size = heads_ * head_dim_;
    const size_t tile = (kElementsPerTask + row_size - 1) / row_size;
    ParallelFor(executor_, m, tile, [&](size_t begin, size_t end) {
      for (size_t row = begin; row < end; ++row) {
        for (size_t head = 0; head < heads_; ++head) {
          RotateHead(row, row * row_size + head * head_dim_);
        }
      }
    });
  }

 private:
  void RotateHead(size_t row, size_t offset) const {
    const float* x = x_ + offset;
    float* y = y_ + offset;
    const float* cosines = angles_->Cosines(row);
    const float* sines = angles_->Sines(row);
    (adjacent_ ? RotateAdjacent : RotateHalves)(x, cosines, sines, pairs_, y);
    std::copy(x + 2 * pairs_, x + head_dim_, y + 2 * pairs_);
  }

  Executor* executor_;
  size_t pairs_;
  size_t head_dim_;
  size_t heads_;
  bool adjacent_;
  const float* x_;
  float* y_;
  std::shared_ptr<RopeAngles> angles_;
};

// See rope.h.
class Rope : public Operator {
 public:
  Rope()
      : Operator({.name = "rope",
                  .weight = TensorUse::kRequired,
                  .context = RowContext::kPosition,
                  .attributes = {RequiredCount("head_dim"),
                                 {.name = "pairing",
                                  .kind = AttributeKind::kWord,
                                  .words = "half adjacent"},
                                 {.name = "scale",
                                  .kind = AttributeKind::kNumber,
                                  .required = false,
                                  .low = 0,
                                  .high = 1e6,
                                  .otherwise = 1}}}) {}

  std::vector<int64_t> InferShape(
      const Model& model, const Node& node,
      Span<const ValueInfo* const> inputs) const override {
    CheckFloatInput(model, node, *inputs[0], 1);
    const auto head_dim =
        static_cast<int64_t>(CountAttribute(node, "head_dim"));
    if (inputs[0]->shape[0] % head_dim != 0) {
      throw NodeError(model, node,
                      TextOf("input '", inputs[0]->name, "' of shape ",
                             ShapeToString(inputs[0]->shape),
                             " does not divide into heads of ", head_dim));
    }
    const TensorView& weight = model.file().Get(node.weight);
    if (weight.dtype != DType::kFloat32 || weight.shape.size() != 1 ||
        weight.shape[0] < 1 || weight.shape[0] > head_dim / 2) {
      throw Error::InTensor(
          model.path(), node.weight,
          TextOf("is ", Name(weight.dtype), " ", ShapeToString(weight.shape),
                 ", but inverse frequencies are F32, at most half of head_dim ",
                 head_dim));
    }
    Frequencies(model, node);
    return inputs[0]->shape;
  }

  std::unique_ptr<Step> Bind(const Model& model, const Node& node,
                             const Execution& execution,
                             const Binding& binding) const override {
    return std::make_unique<RopeStep>(model, node, execution, binding);
  }
};

}  // namespace

std::shared_ptr<RopeAngles> AnglesOf(const Model& model, const Node& node,
                                     SharedData& shared) {
  const double scale = NumberAttribute(node, "scale");
  std::shared_ptr<RopeAngles>& angles = shared.rope[{node.weight, scale}];
  if (angles == nullptr) {
    const std::span<const float> frequencies = Frequencies(model, node);
    angles = std::make_shared<RopeAngles>(
        frequencies.data(), frequencies.size(), static_cast<float>(scale));
  }
  return angles;
}

void ReferenceRope(std::span<const float> x, size_t position,
                   std::span<const float> frequencies, bool adjacent,
                   float scale, float* y) {
  const size_t pairs = frequencies.size();
  for (size_t i = 0; i < pairs; ++i) {
    Direction d = DirectionOf(static_cast<float>(position), frequencies[i]);
    d.cosine *= scale;
    d.sine *= scale;
    const size_t a = adjacent ? 2 * i : i;
    const size_t b = adjacent ? 2 * i + 1 : i + pairs;
    y[a] = x[a] * d.cosine - x[b] * d.sine;
    y[b] = x[b] * d.cosine + x[a] * d.sine;
  }
  for (size_t i = 2 * pairs; i < x.size(); ++i) y[i] = x[i];
}

const Operator& RopeOperator() {
  static const Rope op;
  return op;
}

}  // namespace lutra
