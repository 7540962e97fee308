#include <algorithm>
#include <utility>

#include "kernels/base/parallel.h"
#include "lutra/qat/loss.h"
#include "qat/grad/column_sums.h"
#include "qat/grad/matmul.h"
#include "runtime/base/aligned_memory.h"

namespace lutra::qat {
namespace {

// Logits that are held at a time: rows enough for the products to run at their
// speed, although each of them reads all weights.
constexpr size_t kMostLogits = size_t{1} << 23;
constexpr size_t kMostRows = 512;

float* FloatsOf(const AlignedMemory& memory) {
  return reinterpret_cast<float*>(memory.get());
}

}  // namespace

class LinearCrossEntropy::Impl {
 public:
  Impl(size_t classes, const ClassificationOptions& options, Executor* executor)
      : classes_(classes),
        options_(options),
        executor_(executor),
        block_(std::clamp<size_t>(kMostLogits / classes, 1, kMostRows)) {
    CheckTargets({}, classes, options);
    const size_t bytes = block_ * classes * sizeof(float);
    logits_ = AllocateAligned(bytes, "logits");
    if (options.distillation != 0.0) {
      teacher_ = AllocateAligned(bytes, "a teacher's logits");
      gradient_ = AllocateAligned(bytes, "gradients of logits");
    }
  }

  size_t ByteCount() const {
    const size_t matrices = options_.distillation != 0.0 ? 3 : 1;
    return matrices * block_ * classes_ * sizeof(float);
  }

  ClassificationLoss Run(const LinearLayer& layer, Span<const int32_t> targets,
                         float scale, const LinearGradients& gradients,
                         const TeacherLogits* teacher) {
    ClassificationLoss sum;
    const LayerLogits own(layer, classes_, executor_);
    const bool wanted = gradients.x != nullptr || gradients.weight != nullptr ||
                        gradients.bias != nullptr;
    const bool distils = options_.distillation != 0.0;
    float* const logits = FloatsOf(logits_);
    float* const d = distils ? FloatsOf(gradient_) : logits;
    for (size_t row = 0; row < targets.size(); row += block_) {
      const size_t m = std::min(block_, targets.size() - row);
      const size_t count = m * classes_;
      own.Write(row, m, logits);
      if (distils) teacher->Write(row, m, FloatsOf(teacher_));
      sum.Add(SoftmaxCrossEntropy(
          {logits, count}, targets.subspan(row, m), options_, scale,
          wanted ? Span<float>(d, count) : Span<float>(),
          distils ? Span<const float>(FloatsOf(teacher_), count)
                  : Span<const float>(),
          executor_));
      const float* x = layer.x + row * layer.width;
      if (gradients.weight != nullptr) {
        MatMul({d, /*transposed=*/true}, {x}, classes_, layer.width, m,
               /*accumulate=*/true, {gradients.weight}, executor_);
      }
      if (gradients.bias != nullptr) {
        AddColumnSums(executor_, d, m, classes_, gradients.bias);
      }
      if (gradients.x != nullptr) {
        MatMul({d}, {layer.weight}, m, layer.width, classes_,
               /*accumulate=*/false, {gradients.x + row * layer.width},
               executor_);
      }
    }
    return sum;
  }

 private:
  size_t classes_;
  ClassificationOptions options_;
  Executor* executor_;
  size_t block_;  // rows whose logits are held
  AlignedMemory logits_;
  AlignedMemory teacher_;   // nullptr, as gradient_, without distillation
  AlignedMemory gradient_;  // else in the place of the logits
};

void LayerLogits::Write(size_t row, size_t m, float* logits) const {
  if (layer_.bias != nullptr) {
    for (size_t i = 0; i < m; ++i) {
      std::copy_n(layer_.bias, classes_, logits + i * classes_);
    }
  }
  MatMul({layer_.x + row * layer_.width}, {layer_.weight, /*transposed=*/true},
         m, classes_, layer_.width, /*accumulate=*/layer_.bias != nullptr,
         {logits}, executor_);
}

LinearCrossEntropy::LinearCrossEntropy(size_t classes,
                                       const ClassificationOptions& options,
                                       Executor* executor)
    : impl_(std::make_unique<Impl>(classes, options, executor)) {}
LinearCrossEntropy::~LinearCrossEntropy() = default;
LinearCrossEntropy::LinearCrossEntropy(LinearCrossEntropy&&) noexcept = default;
LinearCrossEntropy& LinearCrossEntropy::operator=(
    LinearCrossEntropy&&) noexcept = default;

size_t LinearCrossEntropy::ByteCount() const { return impl_->ByteCount(); }

ClassificationLoss LinearCrossEntropy::Run(const LinearLayer& layer,
                                           Span<const int32_t> targets,
                                           float scale,
                                           const LinearGradients& gradients,
                                           const TeacherLogits* teacher) {
  return impl_->Run(layer, targets, scale, gradients, teacher);
}

}  // namespace lutra::qat
